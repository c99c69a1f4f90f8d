import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { packPlugin } from '../../supervisor/publish/pack-plugin.ts';
import { placeBundle } from '../../supervisor/publish/place-bundle.ts';
import { readPrivateKey } from '../../supervisor/publish/private-key.ts';
import { createHome, startService } from '../support/start-service.ts';

const home = createHome(t);
const root = fileURLToPath(new URL('../..', import.meta.url));
const id = 'example.hello';
const keyFile = join(home.dataDir, 'dev', 'publisher.key');
const secretFiles = ['dev/publisher.key', 'dev/trust.json', 'admin.token', 'lattice.db', 'address', `plugins/${id}/artifact`];
const greet = { service: 'greeter', method: 'greet', payload: { name: 'Ada' } };

/** An older form of the example, as a checkout of long ago would have packed it with the key of this data directory. */
async function placeOlder(): Promise<void> {
  const copy = join(home.root, 'checkout');
  for (const folder of ['runner-child', 'protocol', `plugins/${id}`]) cpSync(join(root, folder), join(copy, folder), { recursive: true });
  const sources = join(copy, 'plugins', id);
  const manifest = readFileSync(join(sources, 'plugin.json'), 'utf8');
  writeFileSync(join(sources, 'plugin.json'), manifest.replace(/"version": "[^"]*"/, '"version": "0.0.1"'));
  writeFileSync(join(sources, 'plugin.ts'), readFileSync(join(sources, 'plugin.ts'), 'utf8').replace('Hello, ', 'Good day, '));
  placeBundle(await packPlugin(sources, readPrivateKey(keyFile)), join(home.dataDir, 'plugins'));
}

t.test('given an empty data directory, when the project is started, then all is made, for its user alone', async (t) => {
  const first = await startService(home, { entry: 'start' });

  t.match((await first.show(id)).status, 'verified');
  t.match((await first.show('lattice.ssh-login-alert')).status, 'verified');
  for (const file of secretFiles) t.equal(statSync(join(home.dataDir, file)).mode & 0o077, 0, file);
  t.equal(statSync(home.dataDir).mode & 0o777, 0o700);
  t.notOk(first.output().includes(home.token()), 'the token is not shown');
  first.signal('SIGINT');
  t.same(await first.exited, { code: 0, signal: null });
});

t.test(
  'given a version accepted long ago, when the project is started again, then all is used again and the sources are an upgrade',
  async (t) => {
    const made = { key: readFileSync(keyFile, 'utf8'), token: home.token() };
    await placeOlder();
    const served = {
      LATTICE_PLUGIN_DIR: join(home.dataDir, 'plugins'),
      LATTICE_PLUGIN_TRUST: join(home.dataDir, 'dev', 'trust.json'),
    };
    const older = await startService(home, { env: served });
    await older.setStatus(id, 'installed');
    t.match(await older.setStatus(id, 'active'), { status: 200, body: { version: '0.0.1' } });
    t.same((await older.api('POST', `/api/plugins/${id}/call`, greet)).body, { message: 'Good day, Ada!', count: 1 });
    older.signal('SIGTERM');
    await older.exited;

    const again = await startService(home, { entry: 'start' });

    t.same({ key: readFileSync(keyFile, 'utf8'), token: home.token() }, made);
    await again.entered(id, 'ready');
    const shown = await again.show(id);
    t.match(shown, { version: '0.0.1', status: 'active', upgrade: { downgrade: false, capabilities_added: [], capabilities_removed: [] } });
    t.match((await again.api('POST', `/api/plugins/${id}/call`, greet)).body, { message: 'Good day, Ada!', count: 2 });
    t.match(await again.api('POST', `/api/plugins/${id}/upgrade`), { status: 200, body: { upgrade: null } });
    t.match((await again.api('POST', `/api/plugins/${id}/call`, greet)).body, { message: 'Hello, Ada!', count: 3 });
    t.match((await again.api('GET', '/api/audit/verify')).body, { ok: true });
  },
);

t.test(
  'given a service that runs, when another is started on its data directory, then that one says so and the first runs on',
  async (t) => {
    const running = [...home.running];
    t.equal(running.length, 1);

    await t.rejects(startService(home, { entry: 'start' }), /another process uses this data directory/);

    t.same([...home.running], running);
  },
);
