import { deepStrictEqual } from 'node:assert';
import { killAt, killSteps, killUnderLoad } from '../../test/support/kill-steps.ts';
import { openWorkshop } from '../../test/support/real-runtime.ts';
import { runAbuses } from './abuse.ts';
import { holdsNothing, loopOnFakes, loopOnProcesses } from './crash-loops.ts';

/**
 * The full size of what the suite tries in small: `node --expose-gc torture.ts [kills at each step] [MiB of each flood] [played crashes]
 * [real crashes]`. Each part has an end; the last line is the sum of all, and the exit code is 1 unless everything was as it must be.
 */
const [kills = 100, mebibytes = 1024, playedCrashes = 10_000, realCrashes = 2_000] = process.argv.slice(2).map(Number);
const mib = 1024 * 1024;
const partMostMs = 20 * 60_000;
const begun = performance.now();
const sum = { kills: 0, restarts: 0, calls: 0, crash_loops_played: 0, crash_loops_real: 0, floods: 0, bytes: 0, violations: 0, not_ok: 0 };
const closing: (() => unknown)[] = [];
const lifetime = { teardown: (close: () => unknown) => void closing.push(close) } as Parameters<typeof killAt>[1];
const say = (line: string) => process.stdout.write(`${line}\n`);

function conclude(): void {
  say(`torture: ${JSON.stringify({ ...sum, seconds: Math.round((performance.now() - begun) / 1000) })}`);
  process.exitCode = sum.not_ok > 0 ? 1 : 0;
}

/** One part; one that does not come to its end is a fault like any other, and nothing after it would mean much. */
async function part(name: string, run: () => Promise<string>): Promise<void> {
  const timer = setTimeout(() => {
    say(`not ok, ${name}: no end within ${partMostMs / 60_000} minutes`);
    sum.not_ok++;
    conclude();
    process.exit(1);
  }, partMostMs);
  try {
    say(`ok, ${name}: ${await run()}`);
  } catch (error) {
    sum.not_ok++;
    say(`not ok, ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  clearTimeout(timer);
  for (const close of closing.splice(0)) await close();
}

function demand(holds: boolean, text: string): void {
  if (!holds) throw new Error(text);
}

const workshop = await openWorkshop();
for (const [name, step] of Object.entries(killSteps))
  await part(`a child that ${name}`, async () => {
    let count = 0;
    for await (const outcome of killAt(workshop, lifetime, step, kills)) {
      deepStrictEqual(outcome, step.expected, `time ${count + 1}`);
      count++;
      sum.kills++;
      sum.restarts++;
    }
    return `killed ${count} times`;
  });

await part('children under load', async () => {
  let [rounds, answered, crashed] = [0, 0, 0];
  for await (const outcome of killUnderLoad(workshop, lifetime, kills, 4711)) {
    deepStrictEqual([outcome.other, outcome.unrecorded, outcome.repeated, outcome.strayed], [[], [], [], []]);
    answered += outcome.answered;
    crashed += outcome.crashed;
    rounds++;
    sum.kills++;
    sum.restarts++;
  }
  sum.calls += answered + crashed;
  return `killed ${rounds} times, ${answered} calls answered, ${crashed} failed as plugin-crashed, none lost or repeated`;
});

const abuses = runAbuses(mebibytes * mib);
for (let more = true; more; )
  await part(`${mebibytes} MiB`, async () => {
    const next = await abuses.next();
    more = !next.done;
    if (next.done) return 'no more floods';
    const { value: result } = next;
    const { held_bytes_most: held = Number.NaN } = result.counters;
    sum.floods++;
    sum.bytes += result.whole ? mebibytes * mib : 0;
    sum.calls += result.neighbourCalls;
    if (result.rule !== null) sum.violations++;
    const text = `${result.name}: ${result.state} ${result.rule ?? result.cause ?? ''}, held at most ${held} bytes, grown by ${result.grownBytes}, ${result.neighbourCalls} calls next door`;
    demand(held <= 4 * mib && result.grownBytes < 16 * mib && result.neighbourFailures === 0, text);
    return text;
  });

await part('crash loops of played children', async () => {
  const tally = await loopOnFakes(playedCrashes);
  sum.crash_loops_played += tally.crashes;
  demand(holdsNothing(tally), JSON.stringify(tally));
  return JSON.stringify(tally);
});
await part('crash loops of real processes', async () => {
  const tally = await loopOnProcesses(realCrashes);
  sum.crash_loops_real += tally.crashes;
  sum.restarts += tally.crashes;
  demand(holdsNothing(tally), JSON.stringify(tally));
  return JSON.stringify(tally);
});
conclude();
