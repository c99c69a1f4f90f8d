import t, { type Test } from 'tap';
import { type Failpoint, failpoints } from '../../supervisor/failpoints.ts';
import { conclude, live } from '../support/crash/lives.ts';
import { planOf } from '../support/crash/plan.ts';
import { createWorld } from '../support/crash/world.ts';
import { buildDisk, createDisk, whyNoDisk } from '../support/disk.ts';
import { eventually } from '../support/eventually.ts';
import { createRandom } from '../support/kill-steps.ts';
import { createHome, startService } from '../support/start-service.ts';
import { testFolder } from '../support/test-folder.ts';

t.setTimeout(170_000); // a dozen starts, on a machine that may be busy
/** Where most is under way that is not synced. */
const chosen: readonly Failpoint[] = ['database.made', 'migration.committed', 'token.recorded', 'commit.durable', 'staging.named'];
const names = (Object.keys(failpoints) as Failpoint[]).filter((name) => chosen.includes(name)); // the keys of a constant

async function openWorld(t: Test, random: () => number) {
  const world = await createWorld(t, random, { plugins: 2 });
  const disk = createDisk({ library: buildDisk(testFolder(t)), root: world.home.root, journal: true });
  t.teardown(() => disk.close());
  return { world, disk };
}

t.test(
  'given a service at work, when the power is cut, then all it acknowledged is there, and nothing is half there',
  { skip: whyNoDisk },
  async (t) => {
    const random = createRandom(4711);
    const { world, disk } = await openWorld(t, random);
    for (const { end, withChildren } of planOf(names, random)) await live(world, { end, withChildren, disk });
    await live(world, { end: { afterAsks: 60 }, withChildren: false, disk });
    await conclude(world);

    t.same(world.violations, []);
    t.ok(world.tally.acknowledged > 20);
  },
);

t.test(
  'given a service that was just started for the first time, when nothing but what it synced is left, then nothing is missing',
  { skip: whyNoDisk },
  async (t) => {
    const { world, disk } = await openWorld(t, createRandom(1));
    await live(world, { end: { afterAsks: 10 }, withChildren: false, disk, keep: 0 });
    await conclude(world);

    t.same(world.violations, []);
  },
);

t.test(
  'given a commit that a crash cut off before its sync, when the next start is cut off by the power, then the recorded head is not ahead',
  { skip: whyNoDisk },
  async (t) => {
    const home = createHome(t);
    const disk = createDisk({ library: buildDisk(testFolder(t)), root: home.root, journal: true });
    t.teardown(() => disk.close());
    const first = await startService(home, { env: disk.env });
    disk.set({ op: 'sync', match: 'lattice.db-wal', delayMs: 60_000 });
    void first.api('PUT', '/api/kv/operator/key', { value: 'never acknowledged' }).catch(() => {});
    await eventually(() => disk.counted().hit > 0);
    first.signal('SIGKILL');
    await first.exited;
    disk.set({ op: 'sync', match: 'lattice.db-wal', delayMs: 300 });

    const env = { ...disk.env, LATTICE_RUNNER: 'noop', KILL_AT: 'file.durable:1' };
    await t.rejects(startService(home, { entry: 'killing', env }), 'killed when the head was recorded');
    disk.cutPower(0);

    const next = await startService(home);
    t.match((await next.api('GET', '/api/audit/verify')).body, { ok: true });
  },
);
