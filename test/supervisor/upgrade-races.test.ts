import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import type { FakeRun } from '../support/fake-runner.ts';
import { arms, id, openSupervisor, operator, staysSilent } from '../support/open-supervisor.ts';
import { makeKey, simplePolicy } from '../support/signed-bundle.ts';

/** Every child that was started and has not been told to end. */
const running = (runs: readonly FakeRun[]) => runs.filter(({ log }) => !log.includes('ended'));
const countEnds = (run: FakeRun) => {
  const { terminate, kill } = run;
  const end = (how: () => void) => () => {
    if (!run.log.includes('ended')) run.log.push('ended');
    how();
  };
  Object.assign(run, { terminate: end(terminate), kill: end(kill) });
};

t.test(
  'given an upgrade under way, when the plugin is disabled, then both versions are ended at once and the old one stays accepted',
  async (t) => {
    const { supervisor, runner, behave, activate, offer } = await openSupervisor(t);
    await activate();
    await offer({ version: '1.1.0' });
    behave.now = staysSilent;
    const upgraded = supervisor.upgrade({ id }, operator);
    await eventually(() => runner.runs.length === 2);
    runner.runs.forEach(countEnds);
    const [failure, disabled] = await Promise.allSettled([upgraded, supervisor.setStatus({ id, status: 'disabled' }, operator)]);
    t.match(failure, { status: 'rejected', reason: { code: 'conflict', details: { rule: 'given-up' } } });
    t.match(disabled, { value: { status: 'disabled', version: '1.0.0', runtime: { state: 'stopped' }, other_runtimes: [] } });
    t.equal(running(runner.runs).length, 0);
  },
);

t.test(
  'given an upgrade under way, when the service stops, then nothing is left and the old version is still the accepted one',
  async (t) => {
    const { supervisor, create, runner, behave, activate, offer } = await openSupervisor(t);
    await activate();
    await offer({ version: '1.1.0' });
    behave.now = staysSilent;
    const upgraded = supervisor.upgrade({ id }, operator).catch((error: unknown) => error);
    await eventually(() => runner.runs.length === 2);
    runner.runs.forEach(countEnds);
    await supervisor.stop();
    t.match(await upgraded, { code: 'unavailable' });
    t.equal(running(runner.runs).length, 0);
    behave.now = arms;
    const next = create();
    await next.start();
    await eventually(() => next.show(id).runtime?.state === 'armed');
    t.match(next.show(id), { version: '1.0.0', status: 'active', upgrade: { version: '1.1.0' } });
  },
);

t.test(
  'given an old version that finishes its calls, when the plugin is disabled or the service stops, then it is ended at once',
  async (t) => {
    for (const end of ['disable', 'stop'] as const) {
      const { supervisor, runner, activate, offer, call } = await openSupervisor(t);
      await activate();
      const [old] = runner.runs as [FakeRun];
      countEnds(old);
      Object.assign(old, { invoke: () => new Promise(() => {}) });
      call().catch(() => {});
      await offer({ version: '1.1.0' });
      await supervisor.upgrade({ id }, operator);
      t.equal(supervisor.show(id).other_runtimes.length, 1);
      await (end === 'stop' ? supervisor.stop() : supervisor.setStatus({ id, status: 'disabled' }, operator));
      t.ok(old.log.includes('ended'), end);
    }
  },
);

t.test('given two versions that run, when the trust in both is gone, then both are stopped and the upgrade says why', async (t) => {
  const { supervisor, runner, behave, activate, offer, trust } = await openSupervisor(t);
  await activate();
  await offer({ version: '1.1.0' });
  behave.now = staysSilent;
  const upgraded = supervisor.upgrade({ id }, operator).catch((error: unknown) => error);
  await eventually(() => runner.runs.length === 2);
  runner.runs.forEach(countEnds);
  trust.bytes = simplePolicy(makeKey().publicBase64);
  await supervisor.rescan(operator);
  t.match(await upgraded, { code: 'verification-failed', details: { rule: 'trust-lost' } });
  await eventually(() => supervisor.show(id).runtime?.state === 'failed');
  t.equal(running(runner.runs).length, 0);
  t.match(supervisor.show(id), { version: '1.0.0', status: 'active', other_runtimes: [] });
});

t.test('given an old version that finishes its calls, when its bundle is revoked, then it is stopped and the new one is not', async (t) => {
  const { supervisor, runner, activate, offer, trust, key, call } = await openSupervisor(t);
  await activate();
  const first = supervisor.show(id).bundle_sha256;
  const [old] = runner.runs as [FakeRun];
  countEnds(old);
  Object.assign(old, { invoke: () => new Promise(() => {}) });
  call().catch(() => {});
  await offer({ version: '1.1.0' });
  await supervisor.upgrade({ id }, operator);
  const publishers = { 'test.publisher': { keys: [{ key: key.publicBase64 }] } };
  trust.bytes = Buffer.from(JSON.stringify({ schema: 'lattice.plugin.trust.v2', publishers, revoked_bundles: [first] }));
  await supervisor.rescan(operator);
  t.ok(old.log.includes('ended'));
  t.match(supervisor.show(id), { version: '1.1.0', runtime: { state: 'armed' } });
});

t.test('given a bundle that is swapped while the operator reads, when it is consented to, then nothing happens', async (t) => {
  const { supervisor, runner, activate, offer } = await openSupervisor(t);
  await activate();
  await offer({ version: '1.1.0' });
  const shown = supervisor.show(id).upgrade?.bundle_sha256 ?? '';
  await offer({ version: '1.1.0', capabilities: ['kv:read', 'task:run'] });
  t.match(supervisor.show(id).upgrade, { risk: { level: 'high' } });
  await t.rejects(supervisor.upgrade({ id, bundleSha256: shown }, operator), { code: 'changed-since-shown' });
  t.equal(runner.runs.length, 1);
});

t.test('given an old version that finishes its calls, when the next upgrade is asked for, then there are never three', async (t) => {
  const { supervisor, runner, activate, offer, call } = await openSupervisor(t);
  await activate();
  const [old] = runner.runs as [FakeRun];
  let answer: (word: string) => void = () => {};
  Object.assign(old, { invoke: () => new Promise((resolve) => (answer = resolve)) });
  const called = call();
  await offer({ version: '1.1.0' });
  await supervisor.upgrade({ id }, operator);
  await offer({ version: '1.2.0' });
  const second = supervisor.upgrade({ id }, operator);
  await eventually(() => supervisor.show(id).other_runtimes.some(({ role }) => role === 'incoming'));
  t.equal(runner.runs.length, 2, 'it waits');
  answer('old');
  t.equal(await called, 'old');
  t.match(await second, { version: '1.2.0' });
  t.equal(runner.runs.length, 3);
});

t.test('given a new version that never gets ready, when its time is over, then it is ended and the old one stays', async (t) => {
  const clock = createFakeClock();
  const { supervisor, runner, behave, activate, offer } = await openSupervisor(t, clock);
  const began = activate();
  const passing = async (over: () => boolean) => {
    for (; !over(); await new Promise((resolve) => setImmediate(resolve))) await clock.advance(100);
  };
  await began;
  await offer({ version: '1.1.0' });
  behave.now = staysSilent;
  let failure: unknown = null;
  supervisor.upgrade({ id }, operator).catch((error: unknown) => {
    failure = error;
  });
  await passing(() => failure !== null);
  t.match(failure, { code: 'unavailable', details: { rule: 'not-ready-in-time' } });
  t.match(supervisor.show(id), { version: '1.0.0', runtime: { state: 'armed', generation: 1 }, other_runtimes: [] });
  t.equal(runner.runs.length, 2);
});

t.test('given everything at once, when it has settled, then one legal record is left and no child too many', async (t) => {
  const { supervisor, create, runner, behave, activate, offer, changes } = await openSupervisor(t);
  behave.now = (run) => {
    countEnds(run);
    run.events.ready();
  };
  await activate();
  for (let round = 0; round < 6; round++) {
    await offer({ version: `1.${round + 1}.0` });
    const upgraded = supervisor.upgrade({ id }, operator);
    if (round % 2 === 1) await eventually(() => supervisor.show(id).other_runtimes.length > 0);
    const all = [
      upgraded,
      supervisor.rescan(operator),
      supervisor.setStatus({ id, status: 'disabled' }, operator),
      supervisor.setStatus({ id, status: 'active' }, operator),
      supervisor.rollback({ id }, operator),
      supervisor.setStatus({ id, status: 'active' }, operator),
    ];
    const settled = await Promise.allSettled(all.slice(round % 3).concat(all.slice(0, round % 3)));
    for (const each of settled)
      if (each.status === 'rejected') t.match(each.reason.code, /^(conflict|unavailable)$/, String(each.reason.message));
    await eventually(() => supervisor.show(id).other_runtimes.length === 0);
  }
  const { version, status, runtime } = supervisor.show(id);
  t.match({ status, state: runtime?.state }, { status: 'active', state: 'armed' });
  t.same(
    running(runner.runs).map(({ launch }) => launch.plugin.version),
    [version],
    'exactly the accepted one runs',
  );
  const all = await changes();
  const count = (change: string) => all.filter((row) => row.change === change).length;
  t.ok(count('upgrade') <= count('upgrade-begun'));
  await supervisor.stop();
  const next = create();
  await next.start();
  t.match(next.show(id), { version, status: 'active' });
});

t.test(
  'given a bundle on disk that is refused, when its plugin is to be armed, upgraded or rolled back, then the refusal is named',
  async (t) => {
    const { supervisor, activate, offer, put } = await openSupervisor(t);
    await activate();
    await offer({ version: '1.1.0' });
    await supervisor.upgrade({ id }, operator);
    put({ version: '1.1.0' }, undefined, 'a copy');
    await supervisor.rescan(operator);
    t.match(supervisor.show(id), { available: false, refused: { code: 'duplicate-id' }, runtime: { state: 'armed' } });
    const refused = { code: 'conflict', details: { rule: 'not-available', refused: 'duplicate-id' } };
    await t.rejects(supervisor.setStatus({ id, status: 'active' }, operator), refused);
    await t.rejects(supervisor.upgrade({ id }, operator), refused);
    await t.rejects(supervisor.rollback({ id }, operator), refused);
    t.match(supervisor.show(id), { version: '1.1.0', status: 'active', runtime: { state: 'armed' } });
  },
);
