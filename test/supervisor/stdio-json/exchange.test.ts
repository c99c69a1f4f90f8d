import t from 'tap';
import { capabilityNames } from '../../../protocol/capabilities.ts';
import { hostCall, openStdioJson } from '../../support/stdio-json.ts';

const plugins = await openStdioJson();
const { skip } = plugins;
type Answer = { host_response: { id?: string; ok: boolean; result?: unknown; error?: string } };

t.test(
  'given an armed plugin, when it is called, then it gets one request, and the result of its reply is the answer',
  { skip },
  async (t) => {
    const real = plugins.open(t);
    await real.arm();
    t.match(real.runtime.view(), { state: 'armed', pid: null, sandbox: 'isolated' });

    const answer = await real.runtime.invoke('acme.tool/items', 'echo', { a: ['ü', 1] }, { timeoutMs: 30_000 });

    t.same(answer, { action: 'call', payload: { service: 'acme.tool/items', method: 'echo', payload: { a: ['ü', 1] } } });
    await real.idle();
    t.match(real.runtime.why().counters, { actions: 1, crashed_actions: 0 });
  },
);

const replies: Record<string, { said: string; answer?: unknown; error?: { code: string; message: RegExp } }> = {
  'an older plan': { said: '{"ok":true,"plan":"do this"}\n', answer: 'do this' },
  'no line break at the end': { said: '{"ok":true,"result":1}', answer: 1 },
  'a CR, blank lines and unknown fields': { said: '\n \r\n{"ok":true,"result":null,"warnings":["x"]}\r\n', answer: null },
  'a second reply': { said: '{"ok":true,"result":1}\n{"ok":false,"error":"no"}\n', answer: 1 },
  'rubbish after the reply': { said: '{"ok":true,"result":1}\nrubbish\n', answer: 1 },
  'a failure': {
    said: '{"ok":false,"error":"no such item"}\n',
    error: { code: 'plugin-crashed', message: /reported a failure: no such item/ },
  },
  'a failure without words': { said: '{}\n', error: { code: 'plugin-crashed', message: /reported a failure$/ } },
};
for (const [name, { said, answer, error }] of Object.entries(replies))
  t.test(`given a plugin that replies with ${name}, when it is called, then that is understood and is no crash`, { skip }, async (t) => {
    const real = plugins.open(t);
    await real.arm();
    const called = real.call('say', said);
    if (error) await t.rejects(called, error);
    else t.same(await called, answer);
    await real.idle();
    t.equal(real.run().counters().crashed_actions, 0);
  });

t.test(
  'given host calls in the public shapes, when they are granted, then each is decided, recorded and answered in its shape',
  { skip },
  async (t) => {
    const fetched: unknown[] = [];
    const sent: unknown[] = [];
    const real = plugins.open(t, {
      launch: {
        grant: { pluginId: 'example.test', capabilities: new Set(capabilityNames), egress: ['api.example.com:443'], readBuckets: [] },
      },
      handlers: {
        'http.fetch': async (params) => {
          fetched.push(params);
          return { status: 201, headers: { 'x-a': 'b' }, body: 'hi', url: params.url, redirects: 0 };
        },
        'notify.send': async (params, { entry }) => {
          sent.push(params);
          await real.append(entry); // as the real one does
          return { id: 'n-1' };
        },
      },
    });
    await real.arm();
    const calls = [
      hostCall('kv.put', { key: 'colour', value_base64: Buffer.from('grün').toString('base64') }),
      hostCall('kv.get', { key: 'colour' }, 'h2'),
      hostCall('kv.get', { key: 'none' }, 'h3'),
      hostCall('kv.delete', { key: 'colour' }),
      hostCall('log.write', { level: 'warning', message: 'hello', fields: { a: 'b' } }),
      hostCall('http.do', { method: '', url: 'https://api.example.com/', header: { accept: '*/*' }, body: '' }),
      hostCall('notify.send', { title: 'Disk', body: 'full' }),
    ];

    const answers = (await real.call('ask', calls.join('\n'))) as Answer[];

    t.same(
      answers.map(({ host_response }) => host_response),
      [
        { id: 'h1', ok: true, result: {} },
        { id: 'h2', ok: true, result: { ok: true, value: 'grün', value_base64: Buffer.from('grün').toString('base64') } },
        { id: 'h3', ok: true, result: { ok: false } },
        { id: 'h1', ok: true, result: { deleted: true } },
        { id: 'h1', ok: true, result: {} },
        { id: 'h1', ok: true, result: { status_code: 201, header: { 'x-a': 'b' }, body_base64: Buffer.from('hi').toString('base64') } },
        { id: 'h1', ok: true, result: {} },
      ],
    );
    t.match(fetched, [{ url: 'https://api.example.com/', method: 'GET', headers: { accept: '*/*' } }]);
    t.match(sent, [{ channel: 'default', title: 'Disk', text: 'full' }]);
    t.match(
      real.decisions().map(({ method, generation }) => `${generation} ${method}`),
      ['1 kv.put', '1 kv.get', '1 kv.get', '1 kv.delete', '1 log.write', '1 http.fetch', '1 notify.send'],
    );
  },
);

t.test(
  'given host calls that are not allowed, when they are made, then each is refused with the word of its rule, and recorded',
  { skip },
  async (t) => {
    const real = plugins.open(t, {
      launch: {
        grant: { pluginId: 'example.test', capabilities: new Set(['kv:write', 'http:egress']), egress: [], readBuckets: [] },
      },
    });
    await real.arm();
    const calls = [
      hostCall('kv.get', { key: 'a' }),
      hostCall('rpc.call', { service: 'a', method: 'b' }),
      hostCall('secret.get', { key: 'a' }),
      hostCall('http.operator.do', { url: 'https://a.example' }),
      hostCall('http.do', { url: 'https://a.example/' }),
      hostCall('kv.put', { key: 'a', value_base64: '/w==' }),
      hostCall('kv.put', { key: 'a/b', value: 'x' }),
    ];

    const answers = (await real.call('ask', calls.join('\n'))) as Answer[];

    const words = answers.map(({ host_response: { ok, error } }) => `${ok} ${error?.split(':')[0]}`);
    t.same(words, [
      'false capability-denied',
      'false method-not-found',
      'false method-not-found',
      'false method-not-found',
      'false egress-blocked',
      'false invalid-params',
      'false invalid-params',
    ]);
    t.same(
      real.decisions().map(({ method, verdict, code }) => `${method} ${verdict} ${code}`),
      [
        'kv.get deny capability-denied',
        'rpc.call deny method-not-found',
        'secret.get deny method-not-found',
        'http.operator.do deny method-not-found',
        'http.fetch deny egress-blocked',
        'kv.put deny invalid-params',
        'kv.put deny invalid-params',
      ],
    );
  },
);
