import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type BundleStore, createBundleStore } from '../../supervisor/bundle-store.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { readConfig } from '../../supervisor/config.ts';
import { createPluginLogs } from '../../supervisor/plugin-logs.ts';
import { createPluginStore } from '../../supervisor/plugin-store.ts';
import { createSupervisor, type SupervisorDeps } from '../../supervisor/supervisor.ts';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeRunner, type FakeRun } from '../support/fake-runner.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { makeKey, signManifest, simplePolicy, writeBundle } from '../support/signed-bundle.ts';
import { openTempDatabase } from '../support/temp-database.ts';
import { testFolder } from '../support/test-folder.ts';

const operator = { id: 't-op', scopes: ['plugin:admin', 'plugin:call'], plugin: null };
const artifact = Buffer.from('export default {};');
const key = makeKey();
const id = 'example.bundle';
const { policy } = readConfig({ LATTICE_DATA_DIR: '/x', LATTICE_PLUGIN_DIR: '/x', LATTICE_PLUGIN_TRUST: '/x' });

async function open(t: Test) {
  const folder = testFolder(t, { plugins: {} });
  const pluginDir = join(folder, 'plugins');
  const clock = createRealClock();
  const log = createQuietLog();
  const database = await openTempDatabase(t);
  const trust = { bytes: simplePolicy(key.publicBase64) };
  const bundles: BundleStore = await createBundleStore({
    pluginDir,
    stagingDir: join(folder, 'staging'),
    readPolicy: async () => trust.bytes,
    clock,
  });
  t.teardown(() => bundles.close());
  const runner = createFakeRunner();
  /** What a child does when it is spawned: `arm` at once, stay silent, or end. */
  const behave: { now: (run: FakeRun) => void } = { now: (run) => run.events.ready() };
  const start = runner.start;
  Object.assign(runner, {
    async start(...args: Parameters<typeof start>) {
      const run = await start(...args);
      const fake = runner.last();
      const end = () => setImmediate(() => fake.exit({ cause: 'signal', code: null, signal: 'SIGTERM' }));
      Object.assign(run, { terminate: end, kill: end });
      setImmediate(() => behave.now(fake));
      return run;
    },
  });
  const store = createPluginStore({ database, clock });
  const deps: SupervisorDeps = {
    bundles,
    store,
    runner,
    handlers: {} as SupervisorDeps['handlers'],
    append: database.append,
    appendDenial: () => {},
    policy,
    logs: createPluginLogs({ folder: join(folder, 'logs'), ...policy.logs, clock, log }),
    clock,
    log,
    random: () => 0.5,
    probationMs: 1,
  };
  const create = () => createSupervisor(deps);
  const supervisor = create();
  t.teardown(() => supervisor.stop());
  const put = (more: Record<string, unknown> = {}) =>
    writeBundle(pluginDir, 'bundle', signManifest(artifact, key.privateKey, more), artifact);
  async function activate() {
    put();
    await supervisor.start();
    await supervisor.setStatus({ id, status: 'installed' }, operator);
    await supervisor.setStatus({ id, status: 'active' }, operator);
  }
  return {
    supervisor,
    create,
    runner,
    behave,
    pluginDir,
    trust,
    database,
    store,
    put,
    activate,
    bundles,
    staging: join(folder, 'staging'),
  };
}

t.test('given a child that is still starting, when its plugin is upgraded, then what is armed is the new version', async (t) => {
  const { supervisor, create, runner, behave, put, activate } = await open(t);
  await activate();
  await supervisor.stop();
  put({ version: '1.1.0', capabilities: [] });
  behave.now = () => {};
  const next = create(); // the service is started again; the child takes its time
  t.teardown(() => next.stop());
  await next.start();
  await eventually(() => runner.runs.length === 2);
  behave.now = (run) => run.events.ready();
  const upgraded = next.upgrade({ id }, operator);
  await eventually(() => next.show(id).version === '1.1.0');
  await new Promise((resolve) => setImmediate(resolve));
  runner.runs[1]?.events.ready();
  const view = await upgraded;
  t.match(view, { version: '1.1.0', capabilities: [], runtime: { state: 'armed' } });
  t.equal(runner.last().launch.plugin.version, '1.1.0', 'what runs');
  t.same([...runner.last().launch.grant.capabilities], [], 'its grant');
});

t.test('given a child that is still starting, when its configuration is set, then what is armed has it', async (t) => {
  const { supervisor, create, runner, behave, activate } = await open(t);
  await activate();
  await supervisor.stop();
  behave.now = () => {};
  const next = create();
  t.teardown(() => next.stop());
  await next.start();
  await eventually(() => runner.runs.length === 2);
  behave.now = (run) => run.events.ready();
  const set = next.setConfig(id, { colour: 'red' }, operator);
  await eventually(() => next.config(id).colour === 'red');
  await new Promise((resolve) => setImmediate(resolve));
  runner.runs[1]?.events.ready();
  await set;
  t.same(runner.last().launch.config, { colour: 'red' });
});

t.test('given a database that refuses writes, when a plugin is disabled, then it is stopped all the same', async (t) => {
  const { supervisor, store, activate } = await open(t);
  await activate();
  const { setStatus } = store;
  store.setStatus = () => Promise.reject(new Error('disk full'));
  await supervisor.setStatus({ id, status: 'disabled' }, operator).catch(() => null);
  t.equal(supervisor.show(id).runtime?.state, 'stopped');
  store.setStatus = setStatus;
});

t.test(
  'given a plugin directory that is gone, when a key is revoked and the policy read again, then its plugins are stopped',
  async (t) => {
    const { supervisor, trust, pluginDir, activate } = await open(t);
    await activate();
    trust.bytes = simplePolicy(makeKey().publicBase64);
    rmSync(pluginDir, { recursive: true });
    await supervisor.rescan(operator).catch(() => null);
    await eventually(() => supervisor.show(id).runtime?.state !== 'stopping');
    t.equal(supervisor.show(id).runtime?.state, 'failed');
    mkdirSync(pluginDir);
  },
);

t.test(
  'given an audit that cannot be written, when a key is revoked and the policy read again, then its plugins are stopped',
  async (t) => {
    const { supervisor, trust, activate, database } = await open(t);
    await activate();
    trust.bytes = simplePolicy(makeKey().publicBase64);
    const second = supervisor;
    await database.close();
    await second.rescan(operator).catch(() => null);
    await eventually(() => supervisor.show(id).runtime?.state === 'failed');
    t.equal(supervisor.why(id).exits[0]?.cause, 'trust-lost');
  },
);

t.test('given a revoked key that is not written as keys are, when the policy is read, then it is refused, not passed over', async (t) => {
  for (const spelling of [
    key.publicBase64.replace(/=$/, ''),
    ` ${key.publicBase64}`,
    Buffer.from(key.publicBase64, 'base64').toString('hex'),
  ]) {
    const text = JSON.stringify({
      schema: 'lattice.plugin.trust.v2',
      publishers: { 'test.publisher': { keys: [{ key: key.publicBase64 }] } },
      revoked_keys: [spelling],
    });
    t.throws(() => parseTrustPolicy(Buffer.from(text)), spelling);
  }
});

t.test('given one record that cannot be read, when the service starts, then the other plugins run', async (t) => {
  const { supervisor, create, activate, database } = await open(t);
  await activate();
  await supervisor.stop();
  await database.write(async (tx) => {
    await tx.run(
      "INSERT INTO plugins (id, publisher, name, type, version, bundle_sha256, artifact_sha256, manifest, status, created_at, updated_at) SELECT 'a.broken', publisher, name, type, version, ?, artifact_sha256, replace(manifest, '\"kv:read\"', '\"kv:retired\"'), 'installed', created_at, updated_at FROM plugins",
      ['0'.repeat(64)],
    );
  });
  const next = create();
  t.teardown(() => next.stop());
  await t.resolves(next.start());
});

t.test('given an active plugin whose bundle is gone from disk, when the service starts, then it is not armed again', async (t) => {
  const { supervisor, create, activate, runner, pluginDir } = await open(t);
  await activate();
  await supervisor.stop();
  rmSync(join(pluginDir, 'bundle'), { recursive: true });
  const next = create();
  t.teardown(() => next.stop());
  await next.start();
  await eventually(() => next.show(id).runtime?.state === 'failed');
  t.equal(next.why(id).exits[0]?.cause, 'bundle-gone');
  t.equal(runner.runs.length, 1);
});

t.test('given a rescan during an upgrade that fails, when it has failed, then the former version runs on', async (t) => {
  const { supervisor, behave, put, activate, runner } = await open(t);
  await activate();
  put({ version: '1.1.0' });
  await supervisor.rescan(operator);
  behave.now = () => {};
  const upgraded = supervisor.upgrade({ id }, operator).catch((error: Error) => error.message);
  await eventually(() => runner.last().launch.plugin.version === '1.1.0');
  await supervisor.rescan(operator);
  behave.now = (run) => run.events.ready();
  runner.last().exit({ cause: 'load-failed', code: 80 });
  t.match(await upgraded, /version 1\.0\.0 stays, and is armed/);
  t.match(supervisor.show(id), { version: '1.0.0', runtime: { state: 'armed' } });
});

t.test(
  'given a staged copy that went bad, when the good bundle is still on disk and is scanned again, then the plugin can be armed',
  async (t) => {
    const { supervisor, activate, staging } = await open(t);
    await activate();
    await supervisor.setStatus({ id, status: 'disabled' }, operator);
    const home = join(staging, supervisor.show(id).bundle_sha256);
    chmodSync(home, 0o700);
    chmodSync(join(home, 'artifact'), 0o600);
    writeFileSync(join(home, 'artifact'), 'bad');
    await t.rejects(supervisor.setStatus({ id, status: 'active' }, operator), { code: 'verification-failed' });
    await supervisor.rescan(operator);
    await t.resolves(supervisor.setStatus({ id, status: 'active' }, operator));
  },
);

t.test('given a child that is being replaced, when its plugin is upgraded, then the new version is tried', async (t) => {
  const { supervisor, behave, put, activate, runner } = await open(t);
  await activate();
  put({ version: '1.1.0' });
  await supervisor.rescan(operator);
  const old = runner.last();
  Object.assign(old, { kill: () => {}, terminate: () => {} });
  old.events.violated('batch', 'a batch');
  behave.now = (run) => run.events.ready();
  const upgraded = supervisor.upgrade({ id }, operator).catch((error: Error) => error.message);
  await eventually(() => supervisor.show(id).version === '1.1.0');
  old.exit({ cause: 'signal', code: null, signal: 'SIGKILL' });
  t.match(await upgraded, { version: '1.1.0' });
});

t.test('given a stopping service, when a change waits behind another, then it starts no child any more', async (t) => {
  const { supervisor, behave, activate, runner } = await open(t);
  await activate();
  await supervisor.setStatus({ id, status: 'disabled' }, operator);
  behave.now = () => {};
  const first = supervisor.setStatus({ id, status: 'active' }, operator).catch(() => null);
  const second = supervisor.setStatus({ id, status: 'active' }, operator).catch(() => null);
  await eventually(() => runner.runs.length === 2);
  const stopped = supervisor.stop();
  await stopped;
  await first;
  await second;
  t.equal(runner.runs.length, 2);
});
