import t from 'tap';
import { samplePlugin, sampleUpgrade, sha } from '../http/fake-supervisor.ts';
import { startWithCli } from './run-lattice.ts';

t.test('given no terminal, when a plugin is installed without --yes, then exit 2, nothing is asked and nothing changes', async (t) => {
  const app = await startWithCli(t);
  t.match(await app.lattice(['plugins', 'install', 'example.hello'], 'y\n'), { exitCode: 2, stdout: '', stderr: /needs consent.*--yes/s });
  t.equal(app.plugins.get('example.hello')?.status, 'verified');
});

t.test(
  'given --yes, when a plugin is installed, then what it may do is shown, by risk, and the bundle that was shown is consented to',
  async (t) => {
    const app = await startWithCli(t);
    const ran = await app.lattice(['plugins', 'install', 'example.hello', '--yes']);
    t.match(ran, { exitCode: 0, stdout: /example\.hello 1\.0\.0 is installed/ });
    t.match(
      ran.stderr,
      /signed by dev\.local.*risk: host.*http:egress.*risk: write.*log:write.*risk: read.*: default.*kv:read.*bundle bbbb/s,
    );
    t.match(await app.lattice(['plugins', 'activate', 'example.hello']), { exitCode: 0, stdout: /is active, armed/ });
    t.match(await app.lattice(['plugins', 'reset', 'example.hello']), { exitCode: 0 });
    t.match(await app.lattice(['plugins', 'disable', 'example.hello']), { exitCode: 0, stdout: /is disabled/ });
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
  t.match(await app.lattice(['plugins', 'install', 'example.hello', '--yes']), { exitCode: 7, stderr: /changed-since-shown/ });
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
  const ran = await app.lattice(['plugins', 'upgrade', 'example.hello', '--yes']);
  t.match(ran, {
    exitCode: 0,
    stdout: /0\.9\.0/,
    stderr: /1\.0\.0 -> 0\.9\.0.*downgrade.*queue and cancel tasks.*No longer asked for: kv:read/s,
  });
  t.match(await app.lattice(['plugins', 'upgrade', 'example.hello', '--yes']), { exitCode: 7 });
});
