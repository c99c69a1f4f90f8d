import t from 'tap';
import { createFakeClock } from '../support/fake-clock.ts';
import { readFault } from '../support/kill-steps.ts';
import { openWorkshop, type RealRuntime } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const artifact = readFault('steps.js');
const untilHungMs = 33_000;

const open = (t: Parameters<typeof workshop.open>[0], config: Record<string, string> = {}) => {
  const clock = createFakeClock();
  return { clock, real: workshop.open(t, { artifact, clock, launch: { config } }) };
};
const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'answered',
    (error) => error.code,
  );

/** Each way to be hung: what the child is told to do, with the calls that it leaves unanswered. */
const ways: Record<string, { begin(real: RealRuntime): Promise<Promise<unknown>[]> }> = {
  'was stopped by SIGSTOP': {
    async begin(real) {
      const call = real.invoke('hang', 'before the stop');
      await real.heard('hanging before the stop');
      process.kill(real.pid(), 'SIGSTOP');
      return [call, real.invoke('echo')];
    },
  },
  'runs in a busy loop': {
    async begin(real) {
      const call = real.invoke('spin');
      await real.heard('spinning');
      return [call, real.invoke('echo')];
    },
  },
  'runs in a busy loop and ignores SIGTERM': {
    async begin(real) {
      await real.invoke('deafen');
      const call = real.invoke('spin');
      await real.heard('spinning');
      return [call];
    },
  },
};

for (const [name, { begin }] of Object.entries(ways))
  t.test(`given a child that ${name}, when it answers no ping, then it is hung, killed, and started again`, async (t) => {
    const { real, clock } = open(t);
    const neighbour = open(t);
    await real.arm();
    await neighbour.real.arm();
    const pending = (await begin(real)).map(codeOf);

    await clock.advance(untilHungMs);
    t.equal(real.runtime.state(), 'terminating');
    t.equal(await neighbour.real.invoke('echo', 'next door'), 'next door');
    await clock.advance(2_000);
    await real.reached('backoff', 0);

    t.same(
      await Promise.all(pending),
      pending.map(() => 'plugin-crashed'),
    );
    t.match(real.lastExit(), { cause: 'hung', signal: 'SIGKILL', code: null, detail: 'no answer to ping' });
    t.same(real.entered, ['starting', 'ready', 'terminating', 'killing', 'backoff']);
    t.match(real.runtime.view(), { state: 'restarting', pid: null, restarts: 1 });
    const mark = real.entered.length;
    await clock.advance(1_000);
    await real.reached('ready', mark);
    t.equal(await real.invoke('echo', 'back'), 'back');
    t.equal(real.audit.filter(({ kind, code }) => kind === 'plugin.runtime' && code === 'hung').length > 0, true);
    t.same(real.decisions(), []);
  });

t.test('given a child whose event loop was blocked for 25 s, when it answers again, then it is not hung', async (t) => {
  const { real, clock } = open(t);
  await real.arm();
  const { pid } = real.runtime.view();
  process.kill(real.pid(), 'SIGSTOP');
  await clock.advance(25_000);

  process.kill(real.pid(), 'SIGCONT');
  await real.run().ping(); // the answers to those before it have come too
  await clock.advance(9_000);

  t.match(real.runtime.view(), { state: 'armed', pid, generation: 1, restarts: 0 });
  t.same(real.entered, ['starting', 'ready']);
});

t.test('given a child that is busy and deaf, when it is stopped, then it is killed and stays stopped', async (t) => {
  const { real, clock } = open(t);
  await real.arm();
  await real.invoke('deafen');
  const pending = codeOf(real.invoke('spin'));
  await real.heard('spinning');

  const stopped = real.runtime.stop();
  await clock.advance(4_000);
  await stopped;

  t.same(real.entered, ['starting', 'ready', 'draining', 'terminating', 'killing', 'stopped']);
  t.match(real.lastExit(), { cause: 'stopped', signal: 'SIGKILL' });
  t.equal(await pending, 'plugin-crashed');
  t.equal(real.runtime.view().restarts, 0);
});

t.test('given a child that was stopped by SIGSTOP, when an operator stops it, then it is gone', async (t) => {
  const { real, clock } = open(t);
  await real.arm();
  process.kill(real.pid(), 'SIGSTOP');

  const stopped = real.runtime.stop();
  await clock.advance(4_000);
  await stopped;

  t.match(real.lastExit(), { cause: 'stopped', signal: 'SIGKILL' });
});

t.test('given a child that never answers initialize, when its time is up, then it is ended and tried again', async (t) => {
  const { real, clock } = open(t, { hold: 'start' });
  real.runtime.command('start');
  await real.heard('starting');

  await clock.advance(10_000);
  await real.reached('backoff', 0);

  t.match(real.lastExit(), { cause: 'not-ready-in-time', detail: 'no answer to initialize in time' });
  t.same(real.entered, ['starting', 'terminating', 'backoff']);
});

t.test('given a child that was stopped while it starts, when its time is up, then it is killed', async (t) => {
  const { real, clock } = open(t, { hold: 'start' });
  real.runtime.command('start');
  await real.heard('starting');
  process.kill(real.pid(), 'SIGSTOP');

  await clock.advance(12_000);
  await real.reached('backoff', 0);

  t.match(real.lastExit(), { cause: 'not-ready-in-time', signal: 'SIGKILL' });
});
