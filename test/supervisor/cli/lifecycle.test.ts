import t from 'tap';
import type { PluginDetail } from '../../../supervisor/plugin-view.ts';
import { samplePlugin, sampleUpgrade, sampleVerification, sha } from '../http/fake-supervisor.ts';
import { startWithCli } from './run-lattice.ts';

// The one that is run as a process: that its standard input is not read, and its exit code, only that can show.
t.test(
  'given no terminal, when a plugin is installed without --yes, then what it may do is told, exit 2, and nothing changes',
  async (t) => {
    const app = await startWithCli(t);
    const ran = await app.lattice(['plugins', 'install', 'example.hello'], 'y\n');
    t.match(ran, { exitCode: 2, stdout: '', stderr: /risk: host.*http:egress.*bundle bbbb.*needs consent.*shown above.*--yes/s });
    t.equal(app.plugins.get('example.hello')?.status, 'verified');
  },
);

t.test(
  'given --yes, when a plugin is installed, then what it may do is shown, by risk, and the bundle that was shown is consented to',
  async (t) => {
    const app = await startWithCli(t);
    const ran = await app.verb(['plugins', 'install', 'example.hello', '--yes']);
    t.match(ran, { exitCode: 0, stdout: /example\.hello 1\.0\.0 is installed/ });
    t.match(
      ran.stderr,
      /signed by dev\.local.*key 6CWkw.*valid until 2028.*passed: the manifest.*risk: host.*http:egress.*risk: write.*log:write.*risk: read.*: default.*kv:read.*bundle bbbb/s,
    );
    t.match(await app.verb(['plugins', 'activate', 'example.hello']), { exitCode: 0, stdout: /is active, armed/ });
    t.match(await app.verb(['plugins', 'reset', 'example.hello']), { exitCode: 0 });
    t.match(await app.verb(['plugins', 'disable', 'example.hello']), { exitCode: 0, stdout: /is disabled/ });
  },
);

t.test('given a bundle that is swapped after it was shown, when it is consented to, then exit 7', async (t) => {
  const app = await startWithCli(t);
  const { show } = app.supervisor;
  app.supervisor.show = (id) => {
    const shown = show(id);
    app.plugins.set(id, { ...shown, bundle_sha256: sha('c') });
    return shown;
  };
  t.match(await app.verb(['plugins', 'install', 'example.hello', '--yes']), { exitCode: 7, stderr: /changed-since-shown/ });
});

t.test('given an upgrade on disk, when it is taken, then the difference is shown; without one, exit 7', async (t) => {
  const app = await startWithCli(t);
  const upgrade = sampleUpgrade({
    version: '0.9.0',
    change: 'downgrade',
    downgrade: true,
    capabilities_added: ['task:run'],
    capabilities_removed: ['kv:read'],
  });
  app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'installed', upgrade }));
  t.match(await app.verb(['plugins', 'upgrade', 'example.hello']), {
    exitCode: 2,
    stdout: '',
    stderr: /1\.0\.0 -> 0\.9\.0, an OLDER version.*New with it.*needs consent.*--yes/s,
  });
  const ran = await app.verb(['plugins', 'upgrade', 'example.hello', '--yes']);
  t.match(ran, {
    exitCode: 0,
    stdout: /0\.9\.0/,
    stderr:
      /1\.0\.0 -> 0\.9\.0, an OLDER version.*high.*New with it.*risk: host.*queue and cancel tasks.*share what the plugin has stored/s,
  });
  t.match(await app.verb(['plugins', 'upgrade', 'example.hello', '--yes']), { exitCode: 7 });
});

t.test('given an upgrade that changes much, when it is taken, then each new host, bucket and route is named, and what goes', async (t) => {
  const app = await startWithCli(t);
  const plain = sampleUpgrade();
  const upgrade = sampleUpgrade({
    capabilities_added: [],
    differences: {
      ...plain.differences,
      capabilities: { added: [], removed: ['kv:write'] },
      egress: { added: ['new.example:443'], removed: ['old.example:443'] },
      read_buckets: { added: ['shared'], removed: [] },
      routes: { added: ['GET /a'], removed: [] },
      services: {
        added: [],
        removed: ['tool.run'],
        changed: [{ method: 'tool.say', changes: [{ field: 'scopes', from: 'kv:admin', to: 'node:read' }] }],
      },
      resources: [{ name: 'memory_mib', from: 128, to: 512 }],
      identity: [{ field: 'engine', from: 'node', to: 'native' }],
    },
  });
  app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'active', upgrade }));
  const { stderr } = await app.verb(['plugins', 'upgrade', 'example.hello', '--yes']);
  for (const part of [
    /web requests to new\.example:443/,
    /operator bucket shared/,
    /No longer asked for: kv:write, old\.example:443/,
    /engine: node -> native/,
    /route added: GET \/a/,
    /method removed: tool\.run/,
    /tool\.say, scopes: kv:admin -> node:read/,
    /memory_mib: 128 -> 512/,
  ])
    t.match(stderr, part);
});

t.test('given a former version, when it is gone back to, then what that changes is shown, and it needs consent', async (t) => {
  const app = await startWithCli(t);
  const rollback = sampleUpgrade({ version: '0.9.0', change: 'downgrade', downgrade: true });
  app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'active', rollback }));
  const command = ['plugins', 'rollback', 'example.hello'];
  t.match(await app.verb(command), { exitCode: 2, stdout: '', stderr: /needs consent/ });
  t.equal(app.plugins.get('example.hello')?.version, '1.0.0');
  t.match(await app.verb([...command, '--yes']), {
    exitCode: 0,
    stdout: /0\.9\.0/,
    stderr: /1\.0\.0 -> 0\.9\.0.*New with it.*task:run.*does not undo/s,
  });
  t.match(await app.verb([...command, '--yes']), { exitCode: 7, stderr: /no former version/ });
});

t.test('given an id, when it is given to a publisher, then the command says whose it is and what comes next', async (t) => {
  const app = await startWithCli(t);
  t.match(await app.lattice(['plugins', 'transfer', 'example.hello']), { exitCode: 2, stderr: /--to/ });
  t.match(await app.verb(['plugins', 'transfer', 'example.hello', '--to', 'acme.tools']), {
    exitCode: 0,
    stdout: /example\.hello belongs to acme\.tools; version 1\.0\.0 by dev\.local stays.*rescan/s,
  });
});

t.test('given a bundle of the public server that nobody signed, when it is installed, then the consent says both', async (t) => {
  const app = await startWithCli(t);
  const verification = { ...sampleVerification, key: null, key_not_after: null };
  const unsigned = samplePlugin('example.hello', { form: 'v1', wire: 'stdio-json-v1', publisher: '', unsigned: true, verification });
  app.plugins.set('example.hello', unsigned);
  t.match(
    (await app.verb(['plugins', 'install', 'example.hello', '--yes'])).stderr,
    /that nobody signed.*manifest v1 over stdio-json-v1.*No key vouches/s,
  );
});

t.test('given an upgrade that keeps hosts, when it is shown, then they are named, and who set them', async (t) => {
  const app = await startWithCli(t);
  const upgrade = sampleUpgrade({ capabilities_added: [], egress: ['old.example:443', 'new.example:443'], egress_set_by: 'operator' });
  upgrade.differences.egress = { added: ['new.example:443'], removed: [] };
  app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'active', upgrade }));
  const { stderr } = await app.verb(['plugins', 'upgrade', 'example.hello', '--yes']);
  t.match(stderr, /keeps the hosts that you set: old\.example:443\n/);
});

t.test('given a capability that this command does not know, when consent is asked for, then it is named as such', async (t) => {
  const app = await startWithCli(t);
  const foreign = ['kv:read', 'moon:land\u202e'] as unknown as PluginDetail['capabilities']; // of a service that is newer than the command
  app.plugins.set('example.hello', samplePlugin('example.hello', { capabilities: foreign }));
  const { stderr } = await app.verb(['plugins', 'install', 'example.hello', '--yes']);
  t.match(stderr, /this command does not know.*moon:land\\u\{202e\}/s);
});

for (const [name, warned] of [
  ['H\u0435llo', true], // a Cyrillic letter
  ['\uff28ello', true], // full-width
  ['\u{1d407}ello', true], // mathematical
  ['\u041f\u0440\u0438\u0432\u0435\u0442', false],
  ['Caf\u00e9 \u65e5\u672c', false],
] as const)
  t.test(
    `given the name ${name}, when it is installed or comes with an upgrade, then the consent ${warned ? 'warns' : 'says nothing of it'}`,
    async (t) => {
      const app = await startWithCli(t);
      app.plugins.set('example.hello', samplePlugin('example.hello', { name }));
      const warning = /letters that look like others/;
      const { stderr } = await app.verb(['plugins', 'install', 'example.hello', '--yes']);
      t.equal(warning.test(stderr), warned);
      const upgrade = sampleUpgrade();
      upgrade.differences.identity = [{ field: 'name', from: 'Hello', to: name }];
      app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'installed', upgrade }));
      t.equal(warning.test((await app.verb(['plugins', 'upgrade', 'example.hello', '--yes'])).stderr), warned);
    },
  );

t.test('given hosts and no host at once, when they are to be set, then exit 2 and nothing is sent', async (t) => {
  const app = await startWithCli(t);
  const before = app.plugins.get('example.hello');
  const { exitCode } = await app.verb(['plugins', 'egress', 'example.hello', '--allow', 'a.example:443', '--none']);
  t.equal(exitCode, 2);
  t.equal(app.plugins.get('example.hello'), before);
  t.match(await app.verb(['plugins', 'egress', 'example.hello', '--none']), { exitCode: 0, stdout: /may reach no host/ });
});
