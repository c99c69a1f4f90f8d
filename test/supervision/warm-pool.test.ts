import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { Launch } from '../../supervisor/runner.ts';
import { createUidPool, processesByUid, type UidLease } from '../../supervisor/sandbox/uids.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openWorkshop, type RealOptions } from '../support/real-runtime.ts';
import { whyNot } from '../support/sandbox-session.ts';

const skip = whyNot('root', 'bwrap', 'prlimit', 'setpriv');
const artifact = `let calls = 0;
export default { services: { tool: { look: () => ({ calls: ++calls, title: process.title, uid: process.getuid() }) } } };`;
const quietMs = 250;

/** Uids tell who is who: each child has one of its own, taken in the order in which they are made. */
async function open(t: Test, warmChildren = 1) {
  const leases: UidLease[] = [];
  const waiting: (() => void)[] = [];
  const uids = createUidPool();
  const watched = {
    async take() {
      const lease = await uids.take();
      leases.push(lease);
      for (const wake of waiting.splice(0)) wake();
      return lease;
    },
  };
  const clock = createFakeClock();
  const workshop = await openWorkshop('isolated', () => watched, { warmChildren });
  return {
    clock,
    leases,
    start: (options: Partial<RealOptions> = {}) => workshop.open(t, { artifact, runnerClock: clock, ...options }),
    /** So many children were begun, for a plugin or in advance. */
    async begun(count: number): Promise<void> {
      while (leases.length < count) await new Promise<void>((resolve) => void waiting.push(resolve));
    },
  };
}

const readLimits = (pid: number | null): string => readFileSync(`/proc/${pid}/limits`, 'latin1');

type Seen = { calls: number; title: string };

t.test(
  'given a plugin that was started, when it starts again, then it gets the child that was made meanwhile, and only then',
  { skip },
  async (t) => {
    const pool = await open(t);
    const real = pool.start();
    await real.arm();
    t.equal(pool.leases.length, 1, 'nothing is made before anybody needs it');
    const limits = readLimits(real.pid());
    await pool.clock.advance(quietMs);
    await pool.begun(2);
    await real.invoke('look');
    real.runtime.command('stop');
    await real.reached('stopped', 0);

    await real.arm();

    t.equal(pool.leases.length, 2, 'no other child was begun');
    const second = pool.leases[1]?.uid ?? 0;
    t.ok(processesByUid().get(second)?.includes(real.pid()), 'it is the one that waited');
    t.equal(readLimits(real.pid()), limits, 'the kernel holds it as it held the first');
    t.match(await real.invoke('look'), { calls: 1, title: 'lattice plugin example.test' } satisfies Seen);
    t.match(await real.runtime.view(), { sandbox: 'isolated' });
    await pool.clock.advance(quietMs);
    await pool.begun(3);
    t.not(pool.leases[2]?.uid, second, 'one plugin for each process, and a uid for each');
  },
);

const others: [name: string, change: Partial<RealOptions>][] = [
  ['other resources', { launch: { resources: { memory_mib: 64, cpu_percent: 50, pids: 32, tmp_mib: 16 } } }],
  ['host risk', { launch: { hostRisk: true } }],
  ['more than a mebibyte', { artifact: `${artifact}//${'x'.repeat(1 << 20)}` }],
];
for (const [name, change] of others) {
  t.test(`given a plugin of ${name}, when it starts again, then no child was made in advance`, { skip }, async (t) => {
    const pool = await open(t);
    const real = pool.start(change);
    await real.arm();
    await pool.clock.advance(quietMs);
    real.runtime.command('stop');
    await real.reached('stopped', 0);
    await real.arm();
    t.equal(pool.leases.length, 2, 'two starts, two children');
  });
}

t.test(
  'given a waiting child that was killed, when the plugin starts, then it starts as without one, and nothing is held against it',
  { skip },
  async (t) => {
    const pool = await open(t);
    const real = pool.start();
    await real.arm();
    await pool.clock.advance(quietMs);
    await pool.begun(2);
    const uid = pool.leases[1]?.uid ?? 0;
    await eventually(() => processesByUid().has(uid));
    for (const pid of processesByUid().get(uid) ?? []) process.kill(pid, 'SIGKILL');
    await eventually(() => !processesByUid().has(uid));
    real.runtime.command('stop');
    await real.reached('stopped', 0);

    await real.arm();

    t.match(await real.invoke('look'), { calls: 1 });
    t.equal(pool.leases.length, 3);
    t.notOk(real.entered.includes('backoff'));
  },
);

t.test(
  'given an artifact that is not the one of the manifest, when a waiting child gets it, then nothing of it runs',
  { skip },
  async (t) => {
    const pool = await open(t);
    const launch: Partial<Launch> = {};
    const real = pool.start({ launch });
    await real.arm();
    await pool.clock.advance(quietMs);
    await pool.begun(2);
    real.runtime.command('stop');
    await real.reached('stopped', 0);
    launch.artifactSha256 = '0'.repeat(64);

    t.match(await real.runtime.arm(), { ok: false });

    t.match(real.lastExit(), { code: 97 });
  },
);

t.test('given waiting children, when the runner is closed, then they are gone, and their uids are free', { skip }, async (t) => {
  const pool = await open(t, 3);
  const real = pool.start();
  await real.arm();
  await pool.clock.advance(quietMs);
  await pool.begun(4);
  await real.close();
  await eventually(() => pool.leases.every(({ uid }) => !processesByUid().has(uid))); // what was killed may still be on its way out
});
