import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { eventually } from '../support/eventually.ts';
import { arms, id, openSupervisor, operator, staysSilent } from '../support/open-supervisor.ts';
import { makeKey, simplePolicy } from '../support/signed-bundle.ts';

t.test('given a child that is still starting, when its plugin is upgraded, then what is armed is the new version', async (t) => {
  const { supervisor, create, runner, behave, put, activate } = await openSupervisor(t);
  await activate();
  await supervisor.stop();
  put({ version: '1.1.0', capabilities: [] });
  behave.now = staysSilent;
  const next = create(); // the service is started again; the child takes its time
  await next.start();
  await eventually(() => runner.runs.length === 2);
  behave.now = arms;
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
  const { supervisor, create, runner, behave, activate } = await openSupervisor(t);
  await activate();
  await supervisor.stop();
  behave.now = staysSilent;
  const next = create();
  await next.start();
  await eventually(() => runner.runs.length === 2);
  behave.now = arms;
  const set = next.setConfig(id, { colour: 'red' }, operator);
  await eventually(() => next.config(id).colour === 'red');
  await new Promise((resolve) => setImmediate(resolve));
  runner.runs[1]?.events.ready();
  await set;
  t.same(runner.last().launch.config, { colour: 'red' });
});

t.test('given a database that refuses writes, when a plugin is disabled, then it is stopped all the same', async (t) => {
  const { supervisor, store, activate } = await openSupervisor(t);
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
    const { supervisor, trust, pluginDir, activate } = await openSupervisor(t);
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
    const { supervisor, trust, activate, database } = await openSupervisor(t);
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
  const key = makeKey();
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
  const { supervisor, create, activate, database } = await openSupervisor(t);
  await activate();
  await supervisor.stop();
  await database.write(async (tx) => {
    await tx.run(
      "INSERT INTO plugins (id, publisher, name, type, version, bundle_sha256, artifact_sha256, manifest, status, created_at, updated_at) SELECT 'a.broken', publisher, name, type, version, ?, artifact_sha256, replace(manifest, '\"kv:read\"', '\"kv:retired\"'), 'installed', created_at, updated_at FROM plugins",
      ['0'.repeat(64)],
    );
  });
  const next = create();
  await t.resolves(next.start());
});

t.test('given an active plugin whose bundle is gone from disk, when the service starts, then it is not armed again', async (t) => {
  const { supervisor, create, activate, runner, pluginDir } = await openSupervisor(t);
  await activate();
  await supervisor.stop();
  rmSync(join(pluginDir, 'bundle'), { recursive: true });
  const next = create();
  await next.start();
  await eventually(() => next.show(id).runtime?.state === 'failed');
  t.equal(next.why(id).exits[0]?.cause, 'bundle-gone');
  t.equal(runner.runs.length, 1);
});

t.test('given a rescan during an upgrade that fails, when it has failed, then the former version runs on', async (t) => {
  const { supervisor, behave, put, activate, runner } = await openSupervisor(t);
  await activate();
  put({ version: '1.1.0' });
  await supervisor.rescan(operator);
  behave.now = staysSilent;
  const upgraded = supervisor.upgrade({ id }, operator).catch((error: Error) => error.message);
  await eventually(() => runner.last().launch.plugin.version === '1.1.0');
  await supervisor.rescan(operator);
  behave.now = arms;
  runner.last().exit({ cause: 'load-failed', code: 80 });
  t.match(await upgraded, /version 1\.0\.0 stays, and is armed/);
  t.match(supervisor.show(id), { version: '1.0.0', runtime: { state: 'armed' } });
});

t.test(
  'given a staged copy that went bad, when the good bundle is still on disk and is scanned again, then the plugin can be armed',
  async (t) => {
    const { supervisor, activate, stagingDir } = await openSupervisor(t);
    await activate();
    await supervisor.setStatus({ id, status: 'disabled' }, operator);
    const home = join(stagingDir, supervisor.show(id).bundle_sha256);
    chmodSync(home, 0o700);
    chmodSync(join(home, 'artifact'), 0o600);
    writeFileSync(join(home, 'artifact'), 'bad');
    await t.rejects(supervisor.setStatus({ id, status: 'active' }, operator), { code: 'verification-failed' });
    await supervisor.rescan(operator);
    await t.resolves(supervisor.setStatus({ id, status: 'active' }, operator));
  },
);

t.test('given a child that is being replaced, when its plugin is upgraded, then the new version is tried', async (t) => {
  const { supervisor, behave, put, activate, runner } = await openSupervisor(t);
  await activate();
  put({ version: '1.1.0' });
  await supervisor.rescan(operator);
  const old = runner.last();
  Object.assign(old, { kill: () => {}, terminate: () => {} });
  old.events.violated('batch', 'a batch');
  behave.now = arms;
  const upgraded = supervisor.upgrade({ id }, operator).catch((error: Error) => error.message);
  await eventually(() => supervisor.show(id).version === '1.1.0');
  old.exit({ cause: 'signal', code: null, signal: 'SIGKILL' });
  t.match(await upgraded, { version: '1.1.0' });
});

t.test('given a stopping service, when a change waits behind another, then it starts no child any more', async (t) => {
  const { supervisor, behave, activate, runner } = await openSupervisor(t);
  await activate();
  await supervisor.setStatus({ id, status: 'disabled' }, operator);
  behave.now = staysSilent;
  const first = supervisor.setStatus({ id, status: 'active' }, operator).catch(() => null);
  const second = supervisor.setStatus({ id, status: 'active' }, operator).catch(() => null);
  await eventually(() => runner.runs.length === 2);
  const stopped = supervisor.stop();
  await stopped;
  await first;
  await second;
  t.equal(runner.runs.length, 2);
});
