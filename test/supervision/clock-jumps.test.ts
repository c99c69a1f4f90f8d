import t from 'tap';
import type { Health } from '../../supervisor/plugin-store.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { readFault } from '../support/kill-steps.ts';
import { openWorkshop, type RealRuntime } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const artifact = readFault('steps.js');
const yearMs = 365 * 24 * 60 * 60_000;
const jumps = { 'a year ahead': yearMs, 'a year back': -yearMs };

async function crash(real: RealRuntime, end: 'backoff' | 'failed' = 'backoff'): Promise<void> {
  if (real.runtime.state() !== 'ready') {
    const armed = await real.runtime.arm();
    if (!armed.ok) throw new Error(armed.message);
  }
  const mark = real.entered.length;
  process.kill(real.pid(), 'SIGKILL');
  await real.reached(end, mark);
}

for (const [name, jumpMs] of Object.entries(jumps)) {
  t.test(`given a healthy child, when the clock is set ${name}, then nothing happens to it`, async (t) => {
    const clock = createFakeClock();
    const real = workshop.open(t, { artifact, clock });
    await real.arm();
    const { pid } = real.runtime.view();

    clock.setWall(clock.wallMs() + jumpMs);
    for (let round = 0; round < 4; round++) {
      await clock.advance(9_999);
      await real.run().ping();
      await clock.advance(1); // the runtime's own ping goes out
      await real.run().ping(); // and has been answered
    }

    t.equal(await real.invoke('echo', 'still here'), 'still here');
    t.match(real.runtime.view(), { state: 'armed', pid, generation: 1, restarts: 0 });
    t.same(real.entered, ['starting', 'ready']);
  });

  t.test(
    `given four crashes, when the clock is set ${name}, then the fifth is still the fifth, and ten minutes of health forgive`,
    async (t) => {
      const clock = createFakeClock();
      const real = workshop.open(t, { artifact, clock });
      for (let crashes = 0; crashes < 4; crashes++) await crash(real);
      t.equal(real.runtime.view().restarts, 4);

      clock.setWall(clock.wallMs() + jumpMs);

      t.equal(real.runtime.view().restarts, 4, 'none is forgotten');
      await crash(real, 'failed');
      t.equal(real.saved.at(-1)?.broken, true);
      clock.setWall(clock.wallMs() - jumpMs);
      await clock.advance(1_000_000);
      t.match(real.runtime.view(), { state: 'failed', next_retry_at: null }, 'time alone does not close the breaker');
      t.same(real.started.length, 5);
    },
  );

  t.test(`given a child that waits for its restart, when the clock is set ${name}, then it waits as long as before`, async (t) => {
    const clock = createFakeClock();
    const real = workshop.open(t, { artifact, clock });
    await crash(real);

    clock.setWall(clock.wallMs() + jumpMs);
    await clock.advance(999);
    t.equal(real.runtime.state(), 'backoff');
    const mark = real.entered.length;
    await clock.advance(1);
    await real.reached('ready', mark);

    t.match(real.runtime.view(), { state: 'armed', generation: 2, restarts: 1 });
    await clock.advance(10_000);
    await real.run().ping();
    await clock.advance(1);
    t.equal(real.runtime.state(), 'ready');
  });

  t.test(`given crashes, the clock set ${name} and one more, when the service starts again, then all of them are known`, async (t) => {
    const clock = createFakeClock();
    const real = workshop.open(t, { artifact, clock });
    for (let crashes = 0; crashes < 3; crashes++) await crash(real);
    clock.setWall(clock.wallMs() + jumpMs);
    await crash(real);

    const next = workshop.open(t, { artifact, clock: createFakeClock(clock.wallMs()), health: real.saved.at(-1) as Health });

    t.equal(next.runtime.view().restarts, 4);
    await crash(next, 'failed');
  });
}

t.test('given four crashes and ten minutes of the monotonic clock, when another comes, then it is the first', async (t) => {
  const clock = createFakeClock();
  const real = workshop.open(t, { artifact, clock });
  for (let crashes = 0; crashes < 4; crashes++) await crash(real);
  real.runtime.command('stop');

  clock.setWall(clock.wallMs() - yearMs);
  await clock.advance(10 * 60_000);

  t.equal(real.runtime.view().restarts, 0);
  await crash(real);
  t.equal(real.runtime.view().restarts, 1);
});
