import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Failpoint, failpoints } from '../../supervisor/failpoints.ts';
import { conclude, type End, live, measureRestarts, readReached } from '../../test/support/crash/lives.ts';
import { planOf } from '../../test/support/crash/plan.ts';
import { createWorld, type World } from '../../test/support/crash/world.ts';
import { buildDisk, createDisk, type Disk } from '../../test/support/disk.ts';
import { createRandom } from '../../test/support/kill-steps.ts';

/**
 * `node kills.ts [--kills N] [--minutes M] [--seed S] [--power] [--plugins P]`: works a real service with random changes, kills it at each failpoint
 * and at random moments, starts it again and compares all that is there with what it acknowledged. With `--power` each kill is a power cut.
 * Ends with the counts; the exit code is 1 unless there is no violation.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '10000' },
    minutes: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    power: { type: 'boolean', default: false },
    plugins: { type: 'string', default: '20' },
    verbose: { type: 'boolean', default: false },
  },
});
const killsMost = Number(values.kills);
const endMs = performance.now() + Number(values.minutes) * 60_000;
const random = createRandom(Number(values.seed));
const livesPerWorld = 120;
// Children are shown each library that the service has loaded, so this one lies where all may read it.
const shelf = mkdtempSync(join(tmpdir(), 'lattice-shelf-'));
chmodSync(shelf, 0o755);
const names = Object.keys(failpoints) as Failpoint[]; // the keys of a constant
const closing: (() => unknown)[] = [];
const lifetime = { teardown: (close: () => unknown) => void closing.push(close) } as Parameters<typeof createWorld>[0]; // all that it asks of a test
const sum = { kills: 0, at_failpoints: 0, restarts: 0, acknowledged: 0, refused: 0, postponed: 0, rows: 0, violations: 0 };
const [readyMs, violations, reached] = [[] as number[], [] as string[], new Set<string>()];
const begunMs = performance.now();
const isOver = (): boolean => sum.kills >= killsMost || performance.now() > endMs;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Two of three at random: most while it works, some before it is ready. */
function* ends(): Generator<{ name: string; end: End; withChildren: boolean }> {
  for (const planned of planOf(names, random)) {
    yield planned;
    const isFirstStart = 'at' in planned.end && planned.end.fromStart; // another life in between would do what it is about
    for (let n = isFirstStart ? 2 : 0; n < 2; n++) {
      const isEarly = random() < 0.15;
      yield {
        name: isEarly ? 'start' : 'work',
        withChildren: random() < 0.4, // the others take half the time
        end: isEarly ? { afterMs: random() * 1500 } : { afterAsks: 1 + Math.floor(random() * 60) },
      };
    }
  }
}

async function runWorld(): Promise<void> {
  const world = await createWorld(lifetime, random, { plugins: 4 });
  const disk: Disk | undefined = values.power ? createDisk({ library: buildDisk(shelf), root: world.home.root, journal: true }) : undefined;
  let lives = 0;
  for (const { name, end, withChildren } of ends()) {
    if (isOver() || ++lives > livesPerWorld) break;
    const startMs = performance.now();
    const asMeant = await live(world, { end, withChildren, disk });
    if (asMeant && 'at' in end) sum.at_failpoints++;
    sum.kills++;
    if (values.verbose)
      say(
        `${sum.kills} ${name} ${asMeant || !('at' in end) ? '' : 'not reached '}${Math.round(performance.now() - startMs)} ms, ${world.tally.acknowledged} acknowledged`,
      );
    if (world.violations.length > violations.length) break;
  }
  if (world.violations.length === 0) sum.rows += await conclude(world);
  take(world);
  disk?.close();
  for (const close of closing.splice(0)) await close();
}

function take({ tally, violations: found, ...world }: World): void {
  for (const name of ['restarts', 'acknowledged', 'refused', 'postponed'] as const) sum[name] += tally[name];
  readyMs.push(...tally.readyMs);
  for (const text of found) say(`violation (seed ${values.seed}, kill ${sum.kills}): ${text}`);
  violations.push(...found);
  for (const name of readReached({ tally, violations: found, ...world })) reached.add(name);
}

const percentile = (values: readonly number[], part: number): number =>
  Math.round([...values].sort((a, b) => a - b)[Math.floor(part * (values.length - 1))] ?? Number.NaN);

/** With many plugins, all of which are armed before it is killed. */
async function measureStarts(plugins: number): Promise<{ ready: number[]; armed: number[] }> {
  const world = await createWorld(lifetime, random, { plugins: 0, idle: plugins });
  const taken = await measureRestarts(world, 5);
  for (const close of closing.splice(0)) await close();
  return taken;
}

while (!isOver() && violations.length === 0) await runWorld();
const seconds = (performance.now() - begunMs) / 1000;
const many = Number(values.plugins) > 0 ? await measureStarts(Number(values.plugins)) : { ready: [], armed: [] };
sum.violations = violations.length;
say(
  `kills: ${JSON.stringify({ ...sum, failpoints_reached: `${reached.size} of ${names.length}`, seed: Number(values.seed), seconds: Math.round(seconds) })}`,
);
say(
  `rows per second: ${Math.round(sum.rows / seconds)}; time to ready, 4 plugins: p50 ${percentile(readyMs, 0.5)} ms, p99 ${percentile(readyMs, 0.99)} ms`,
);
if (many.ready.length > 0)
  say(
    `after a kill, ${values.plugins} plugins: ready p50 ${percentile(many.ready, 0.5)} ms, p99 ${percentile(many.ready, 0.99)} ms; all armed p50 ${percentile(many.armed, 0.5)} ms, p99 ${percentile(many.armed, 0.99)} ms`,
  );
rmSync(shelf, { recursive: true });
process.exitCode = violations.length === 0 ? 0 : 1;
