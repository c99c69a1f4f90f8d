import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { eventually } from '../support/eventually.ts';
import type { FakeRun } from '../support/fake-runner.ts';
import { failsToLoad, id, openSupervisor, operator, staysSilent } from '../support/open-supervisor.ts';

const answering = (run: FakeRun, word: string) => Object.assign(run, { invoke: async () => word });

t.test(
  'given an active plugin, when it is upgraded, then the old one is called until the new one is ready, and then the new one',
  async (t) => {
    const { supervisor, runner, behave, activate, offer, call } = await openSupervisor(t);
    await activate();
    const [old] = runner.runs as [FakeRun];
    answering(old, 'old');
    await offer({ version: '1.1.0', capabilities: ['kv:read', 'log:write'] });
    behave.now = staysSilent;
    const upgraded = supervisor.upgrade({ id }, operator);
    await eventually(() => runner.runs.length === 2);
    const fresh = answering(runner.last(), 'new');
    t.equal(await call(), 'old');
    t.match(supervisor.show(id), {
      version: '1.0.0',
      runtime: { state: 'armed', generation: 1 },
      other_runtimes: [{ role: 'incoming', version: '1.1.0', state: 'starting', generation: 2 }],
    });
    t.same([...fresh.launch.grant.capabilities], ['kv:read', 'log:write'], 'a grant of its own');
    fresh.events.ready();
    t.match(await upgraded, { version: '1.1.0', runtime: { state: 'armed', generation: 2 } });
    t.equal(await call(), 'new');
    await eventually(() => supervisor.show(id).other_runtimes.length === 0);
    t.same([old.log.includes('shutdown'), fresh.log.includes('shutdown')], [true, false]);
    t.match(supervisor.show(id).consents, [
      { kind: 'upgrade', actor: 't-op', version: '1.1.0', capabilities: ['kv:read', 'log:write'] },
      { kind: 'install', version: '1.0.0' },
    ]);
  },
);

t.test(
  'given calls that the old version is answering, when the new one takes over, then they are answered by the old one, once each',
  async (t) => {
    const { supervisor, runner, activate, offer, call } = await openSupervisor(t);
    await activate();
    const [old] = runner.runs as [FakeRun];
    const held: ((word: string) => void)[] = [];
    Object.assign(old, { invoke: () => new Promise((resolve) => held.push(resolve)) });
    const calls = [call(), call(), call()];
    await offer({ version: '1.1.0' });
    t.match(await supervisor.upgrade({ id }, operator), { version: '1.1.0', other_runtimes: [{ role: 'outgoing', state: 'armed' }] });
    answering(runner.last(), 'new');
    t.equal(await call(), 'new');
    t.notOk(old.log.includes('shutdown'), 'it is let alone while it works');
    for (const answer of held) answer('old');
    t.same(await Promise.all(calls), ['old', 'old', 'old']);
    await eventually(() => supervisor.show(id).other_runtimes.length === 0);
    t.ok(old.log.includes('shutdown'));
  },
);

t.test('given a new version that does not load, when it is upgraded to, then the old one has never stopped serving', async (t) => {
  const { supervisor, runner, behave, activate, offer, call, changes } = await openSupervisor(t);
  await activate();
  answering(runner.last(), 'old');
  await offer({ version: '1.1.0' });
  behave.now = failsToLoad;
  await t.rejects(supervisor.upgrade({ id }, operator), { code: 'unavailable', details: { rule: 'load-failed' } });
  t.equal(await call(), 'old');
  t.match(supervisor.show(id), {
    version: '1.0.0',
    status: 'active',
    runtime: { state: 'armed', generation: 1, restarts: 0 },
    upgrade: { version: '1.1.0' },
    other_runtimes: [],
    consents: [{ kind: 'install' }],
  });
  t.match(supervisor.why(id).exits[0], { cause: 'load-failed', generation: 2 }, 'its end can be looked up');
  t.match((await changes()).slice(-2), [{ change: 'upgrade-begun' }, { change: 'upgrade-failed', code: 'load-failed' }]);
});

t.test('given a new version that ends while it is on probation, when it is upgraded to, then the old one stays', async (t) => {
  const { supervisor, runner, behave, activate, offer } = await openSupervisor(t);
  await activate();
  await offer({ version: '1.1.0' });
  behave.now = (run) => {
    run.events.ready();
    run.exit({ cause: 'exit-code', code: 3 });
  };
  await t.rejects(supervisor.upgrade({ id }, operator), { code: 'unavailable', details: { rule: 'exit-code' } });
  t.match(supervisor.show(id), { version: '1.0.0', runtime: { state: 'armed' }, other_runtimes: [] });
  t.equal(runner.runs.length, 2, 'it is not started again');
});

t.test('given a record that cannot be written, when the new version is ready, then it is ended and the old one stays', async (t) => {
  const { supervisor, runner, store, activate, offer } = await openSupervisor(t);
  await activate();
  await offer({ version: '1.1.0' });
  store.setBundle = () => Promise.reject(new Error('disk full'));
  await t.rejects(supervisor.upgrade({ id }, operator), /disk full/);
  t.match(supervisor.show(id), { version: '1.0.0', runtime: { state: 'armed', generation: 1 }, other_runtimes: [] });
  t.ok(runner.last().log.includes('shutdown'));
});

t.test('given a plugin that keeps crashing, when it is upgraded, then the new version’s count of crashes begins anew', async (t) => {
  const { supervisor, runner, behave, activate, offer, store } = await openSupervisor(t);
  await activate();
  behave.now = staysSilent;
  runner.last().exit({ cause: 'exit-code', code: 1 });
  t.match(supervisor.show(id).runtime, { state: 'restarting', restarts: 1 });
  await offer({ version: '1.1.0' });
  behave.now = (run) => run.events.ready();
  t.match(await supervisor.upgrade({ id }, operator), { version: '1.1.0', runtime: { state: 'armed', restarts: 0 } });
  t.equal(runner.runs.length, 2, 'the old one is not started again');
  await supervisor.stop();
  t.match((await store.get(id))?.health, { crashTimesMs: [], broken: false });
  t.same(
    supervisor.why(id).exits.map(({ generation, cause }) => `${generation} ${cause}`),
    ['2 stopped', '1 exit-code'],
  );
});

t.test('given a plugin that is not active, when it is upgraded and rolled back, then nothing is started', async (t) => {
  const { supervisor, runner, put, offer } = await openSupervisor(t);
  put();
  await supervisor.start();
  await supervisor.setStatus({ id, status: 'installed' }, operator);
  await offer({ version: '1.1.0' });
  t.match(await supervisor.upgrade({ id }, operator), { version: '1.1.0', status: 'installed', upgrade: null });
  t.match(await supervisor.rollback({ id }, operator), { version: '1.0.0', status: 'installed', upgrade: { version: '1.1.0' } });
  t.equal(runner.runs.length, 0);
  t.match(await supervisor.setStatus({ id, status: 'active' }, operator), { runtime: { state: 'armed' } });
  t.equal(runner.last().launch.plugin.version, '1.0.0');
});

t.test(
  'given an upgraded plugin, when it is rolled back, then the former staged copy runs, and what it may do again is shown first',
  async (t) => {
    const { supervisor, runner, activate, offer, stagingDir } = await openSupervisor(t);
    await activate();
    const first = supervisor.show(id).bundle_sha256;
    await offer({ version: '1.1.0', capabilities: [] });
    await supervisor.upgrade({ id }, operator);
    await supervisor.rescan(operator);
    t.ok(readdirSync(stagingDir).includes(first), 'it is kept');
    const { rollback } = supervisor.show(id);
    t.match(rollback, { bundle_sha256: first, version: '1.0.0', change: 'downgrade', capabilities_added: ['kv:read'] });
    await t.rejects(supervisor.rollback({ id, bundleSha256: 'f'.repeat(64) }, operator), { code: 'changed-since-shown' });
    t.match(await supervisor.rollback({ id, bundleSha256: first }, operator), { version: '1.0.0', runtime: { state: 'armed' } });
    t.same([...runner.last().launch.grant.capabilities], ['kv:read']);
    t.match(supervisor.show(id), {
      upgrade: { version: '1.1.0' },
      rollback: null,
      consents: [{ kind: 'rollback', capabilities: ['kv:read'] }, {}, {}],
    });
    await t.rejects(supervisor.rollback({ id }, operator), { code: 'conflict', details: { rule: 'no-former-version' } });
  },
);

t.test(
  'given a former version that is revoked, or whose copy is gone, when it is rolled back to, then it is refused and nothing changes',
  async (t) => {
    const { supervisor, runner, activate, offer, trust, key, stagingDir } = await openSupervisor(t);
    await activate();
    const first = supervisor.show(id).bundle_sha256;
    await offer({ version: '1.1.0' });
    await supervisor.upgrade({ id }, operator);
    const publishers = { 'test.publisher': { keys: [{ key: key.publicBase64 }] } };
    const simple = trust.bytes;
    trust.bytes = Buffer.from(JSON.stringify({ schema: 'lattice.plugin.trust.v2', publishers, revoked_bundles: [first] }));
    await supervisor.rescan(operator);
    await t.rejects(supervisor.rollback({ id }, operator), { code: 'verification-failed', details: { rule: 'bundle-revoked' } });
    trust.bytes = simple;
    await supervisor.rescan(operator);
    rmSync(join(stagingDir, first), { recursive: true, force: true });
    await t.rejects(supervisor.rollback({ id }, operator), { code: 'verification-failed', details: { rule: 'missing-file' } });
    t.match(supervisor.show(id), { version: '1.1.0', runtime: { state: 'armed' } });
    t.equal(runner.runs.length, 2);
  },
);
