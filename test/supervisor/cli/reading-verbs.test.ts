import t from 'tap';
import { samplePlugin, sampleUpgrade, sha } from '../http/fake-supervisor.ts';
import { startWithCli } from './run-lattice.ts';

t.test('given a service, when each reading verb is run with --json, then its value is JSON on stdout and exit 0', async (t) => {
  const app = await startWithCli(t);
  app.state.log('hello');
  await app.ask('PUT', '/api/kv/default/colour', { body: { value: 'green' } });
  const cases: [string[], unknown][] = [
    [
      ['plugins', 'list'],
      [{ id: 'example.hello' }, { id: 'example.world' }],
    ],
    [['plugins', 'show', 'example.hello'], { id: 'example.hello', egress: ['api.example.com:443'] }],
    [['plugins', 'why', 'example.hello'], { exits: [{ generation: 3 }] }],
    [['plugins', 'refused'], [{ folder: 'broken' }]],
    [['plugins', 'rescan'], { verified: 2 }],
    [['plugins', 'logs', 'example.hello', '--last', '5'], { lines: [{ text: 'hello' }] }],
    [['plugins', 'config', 'get', 'example.hello'], {}],
    [['plugins', 'call', 'example.hello', 'greeter.greet', '{"name":"Ada"}'], { echo: { name: 'Ada' } }],
    [['kv', 'buckets'], { buckets: [{ bucket: 'default' }] }],
    [['kv', 'list', 'default', '--prefix', 'col'], { entries: [{ key: 'colour' }], next: null }],
    [['kv', 'get', 'default', 'colour'], { value: 'green', revision: 1 }],
    [['audit', 'list', '--kind', 'kv.change', '--limit', '1'], { rows: [{ method: 'kv.put' }] }],
    [['audit', 'verify'], { ok: true }],
    [['audit', 'head'], { hash: /^[0-9a-f]{64}$/ }],
    [['token', 'list'], { tokens: [{ name: 'admin' }] }],
  ];
  await Promise.all(
    cases.map(async ([args, value]) => {
      const ran = await app.json(args);
      t.match(ran, { exitCode: 0, value }, args.join(' '));
    }),
  );
});

t.test('given a service, when the same verbs are run for people, then each prints something and ends with 0', async (t) => {
  const app = await startWithCli(t);
  app.state.log('hello');
  app.plugins.set(
    'example.old',
    samplePlugin('example.old', {
      status: 'active',
      upgrade: sampleUpgrade(),
      consents: [
        {
          time: '2026-01-01T00:00:00.000Z',
          kind: 'install',
          actor: 't-1',
          publisher: 'dev.local',
          version: '1.0.0',
          bundle_sha256: sha('b'),
          capabilities: ['kv:read'],
          egress: [],
        },
      ],
    }),
  );
  const refused = { folder: 'gone', id: 'example.stray', code: 'digest-mismatch', detail: 'the artifact is another one' };
  app.plugins.set('example.stray', samplePlugin('example.stray', { status: 'active', available: false, refused }));
  const cases: [string[], RegExp][] = [
    [['plugins', 'list'], /ID +VERSION.*example\.hello +1\.0\.0.*upgrade to 2\.0\.0 available, risk high.*refused: digest-mismatch/s],
    [
      ['plugins', 'show', 'example.hello'],
      /system, node, manifest v3 over json-rpc.*may act beyond itself.*make web requests to the hosts its manifest names: api\.example\.com:443.*greeter\.greet/s,
    ],
    [
      ['plugins', 'show', 'example.old'],
      /upgrade to 2\.0\.0.*key 6CWk.*Consents:.*t-1 accepted 1\.0\.0 \(install, bundle b{12}\): kv:read/s,
    ],
    [['plugins', 'show', 'example.stray'], /its bundle on disk is refused: digest-mismatch: the artifact/],
    [
      ['plugins', 'why', 'example.hello'],
      /crashed 5 times.*busy: 2 calls unanswered, 1 call given up after the deadline.* 14 s ago.*run 3 of 1\.0\.0 ended.*\| boom.*counted: received 2\n/s,
    ],
    [['plugins', 'refused'], /broken +signature-invalid/],
    [['plugins', 'rescan'], /4 verified, 1 refused/],
    [['plugins', 'logs', 'example.hello'], /info plugin: hello/],
    [['kv', 'buckets'], /There are no entries/],
    [['audit', 'list'], /SEQ +TIME/],
    [['audit', '--since', '1h'], /SEQ +TIME/],
    [['audit', 'since:2d', 'until:1s', '--limit', '5'], /SEQ +TIME|no such rows/],
    [['audit', 'verify'], /complete up to row/],
    [['audit', 'head'], /^\d+ [0-9a-f]{64}\n$/],
    [['token', 'list'], /plugin:admin/],
  ];
  await Promise.all(
    cases.map(async ([args, text]) => t.match(await app.lattice(args), { exitCode: 0, stdout: text, stderr: '' }, args.join(' '))),
  );
});
