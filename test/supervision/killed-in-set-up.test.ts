import { readFileSync } from 'node:fs';
import t from 'tap';
import { compileNative } from '../children/bombs/compile-native.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { readFault } from '../support/kill-steps.ts';
import { findDescendants, isAlive } from '../support/process-tree.ts';
import { openWorkshop } from '../support/real-runtime.ts';
import { openSession, users, whyNot } from '../support/sandbox-session.ts';

const workshop = await openWorkshop();
const failSafeMs = 20_000;
const artifact = readFault('steps.js');

/** What is left of these when nothing more can be on its way. */
async function leftOf(processes: ReturnType<typeof findDescendants>): Promise<string[]> {
  const endMs = performance.now() + failSafeMs;
  let left = processes;
  while (left.length > 0 && performance.now() < endMs) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    left = left.filter(isAlive);
  }
  return left.map(({ pid }) => `${pid} ${readFileSync(`/proc/${pid}/status`, 'latin1').split('\n')[0]}`);
}

// Twelve at once on a machine with fewer processors: while one already runs, others are everywhere between their fork and their first line.
for (const user of users)
  for (const spoken of [0, 2, 7])
    t.test(
      `given twelve plugins that ${user} starts at once, when the supervisor is killed after ${spoken} came up, then none is left half built`,
      { skip: whyNot(user, 'bwrap', 'prlimit', 'setpriv') },
      async (t) => {
        const busy = 'console.log("up"); setImmediate(() => { for (;;) {} });';
        const session = openSession(t, user, { level: 'isolated', script: busy, plug: false, count: 12 });
        if (spoken === 0) while (findDescendants(session.pid).length < 12) await new Promise<void>((resolve) => setImmediate(resolve));
        else await session.heard('up', spoken);
        session.kill('SIGSTOP'); // nothing new begins while we look
        const processes = findDescendants(session.pid);
        t.ok(processes.length >= 12);

        session.kill('SIGKILL');

        t.same(await leftOf(processes), []);
        await session.released;
      },
    );

const native = workshop.level === 'isolated' ? compileNative() : null;
for (const [kind, program] of Object.entries({ JS: artifact, native }))
  t.test(
    `given a ${kind} plugin that is being started, when it is stopped after every so many turns, then nothing of it is left`,
    { skip: workshop.level !== 'isolated' ? 'the cage needs bwrap' : program === null && 'there is no C compiler with a static libc' },
    async (t) => {
      const real = workshop.open(t, { artifact: program ?? '', clock: createFakeClock() });
      const others = new Set(findDescendants(process.pid).map(({ pid }) => pid));
      // On a busy machine hundreds of turns may pass before there is a process.
      for (let turns = 0; turns < 400 || real.started.length === 0; turns += 40) {
        real.runtime.command('start');
        await real.until(() => real.runtime.state() !== 'stopped');
        for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
        const processes = findDescendants(process.pid).filter(({ pid }) => !others.has(pid));
        const stopped = real.runtime.stop();
        if (turns % 80 === 0) for (const { run } of real.started) run.kill();
        await stopped;
        const left = await leftOf(processes);
        if (left.length > 0) t.same(left, [], `stopped after ${turns} turns`);
      }
      await Promise.all(real.started.map(({ ended }) => ended)); // each of them is told to have ended
      // A start that was overtaken before it had a process may only now be told to end.
      t.same(await leftOf(findDescendants(process.pid).filter(({ pid }) => !others.has(pid))), []);
      t.ok(real.started.length > 0);
    },
  );
