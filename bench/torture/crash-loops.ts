import type { Health } from '../../supervisor/plugin-store.ts';
import { createRuntime } from '../../supervisor/runtime.ts';
import { compileNative } from '../../test/children/bombs/compile-native.ts';
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts';
import { createFakeRunner, type FakeRun, type FakeRunner } from '../../test/support/fake-runner.ts';
import { createTestLaunch } from '../../test/support/launch.ts';
import { openWorkshop, type RealRuntime, type Workshop } from '../../test/support/real-runtime.ts';
import { countLeases, type Held, lookAround, settleTo } from '../held.ts';

/**
 * Crashes without end, and what is left of them:
 *   node --expose-gc bench/torture/crash-loops.ts fake 10000    played children on a played clock
 *   node --expose-gc bench/torture/crash-loops.ts real 2000     real processes, only the runtime's clock played
 * Without arguments both, with these counts. Prints a line of JSON each, and exits 1 when something is still held at the end.
 */
export type FakeTally = {
  crashes: number;
  resets: number; // by the operator, each after the breaker opened
  causes: Record<string, number>;
  pendingTimers: number;
  most: { exits: number; crashTimes: number; storedBytes: number };
  heapGrowthBytes: number;
};
export type RealTally = {
  crashes: number;
  resets: number;
  causes: Record<string, number>;
  level: string;
  before: Held;
  after: Held;
  heapGrowthBytes: number;
};

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {}); // only with --expose-gc
const count = (into: Record<string, number>, name: string): void => {
  into[name] = (into[name] ?? 0) + 1;
};

/** Brings a runtime that crashed to its next start as time or the operator would. True when it took a reset. */
async function startAgain(runtime: RealRuntime['runtime'], clock: FakeClock): Promise<boolean> {
  const state = runtime.state();
  if (state === 'failed') runtime.reset();
  else if (state === 'backoff') await clock.advance(Date.parse(runtime.view().next_retry_at ?? '') - clock.wallMs());
  else runtime.command('start');
  await settle();
  return state === 'failed';
}

/** Each way in which a child can end; the runner's word for the exit comes last. */
const endings: ((run: FakeRun, clock: FakeClock) => Promise<void> | void)[] = [
  (run) => run.exit({ code: 1 }), // before it was ready
  (run) => {
    run.events.ready();
    run.exit({ cause: 'signal', code: null, signal: 'SIGSEGV' });
  },
  (run) => {
    run.events.ready();
    for (let line = 0; line < 30; line++) run.events.output('stderr', `line ${line} ${'x'.repeat(600)}`);
    run.exit({ cause: 'out-of-memory', code: null, signal: 'SIGABRT' });
  },
  async (run) => {
    run.events.ready();
    await run.dispatch('kv.get', { key: 'k' }, { signal: new AbortController().signal });
    run.events.violated('not-json', 'at byte 3');
    run.exit({ cause: 'signal', code: null, signal: 'SIGKILL' });
  },
  async (run, clock) => {
    run.answerPing = false;
    run.events.ready();
    await clock.advance(33_000);
    run.exit({ cause: 'signal', code: null, signal: 'SIGTERM' });
  },
  async (run, clock) => {
    await clock.advance(10_000); // never ready
    await clock.advance(2_000); // deaf to SIGTERM
    run.exit({ cause: 'signal', code: null, signal: 'SIGKILL' });
  },
];

export async function loopOnFakes(crashes: number): Promise<FakeTally> {
  const clock = createFakeClock();
  const runner = createFakeRunner();
  const tally: FakeTally = {
    crashes: 0,
    resets: 0,
    causes: {},
    pendingTimers: 0,
    most: { exits: 0, crashTimes: 0, storedBytes: 0 },
    heapGrowthBytes: 0,
  };
  const runtime = openOnFakes(clock, runner, ({ exits, crashTimesMs, ...rest }) => {
    const { most } = tally;
    most.exits = Math.max(most.exits, exits.length);
    most.crashTimes = Math.max(most.crashTimes, crashTimesMs.length);
    most.storedBytes = Math.max(most.storedBytes, JSON.stringify({ exits, crashTimesMs, ...rest }).length);
  });
  let heapAfterWarmUp = 0;
  for (let n = 0; n < crashes; n++) {
    if (n === Math.floor(crashes / 10)) heapAfterWarmUp = measureHeap();
    runner.failWith = n % 17 === 16 ? new Error('cannot be spawned') : null;
    if (await startAgain(runtime, clock)) tally.resets++;
    const run = runner.runs.pop();
    if (run) await endings[n % endings.length]?.(run, clock);
    await settle();
    count(tally.causes, runtime.why().exits[0]?.cause ?? 'none');
    tally.crashes++;
    if (n % 97 === 96) await stopAndRestart(runtime, runner);
  }
  await runtime.stop();
  tally.heapGrowthBytes = measureHeap() - heapAfterWarmUp;
  tally.pendingTimers = clock.pending();
  return tally;
}

/** The operator, in between: an orderly stop is no crash. */
async function stopAndRestart(runtime: RealRuntime['runtime'], runner: FakeRunner): Promise<void> {
  runner.failWith = null;
  const armed = runtime.arm();
  await settle();
  const run = runner.runs.pop();
  run?.events.ready();
  await armed;
  const stopped = runtime.stop();
  await settle();
  run?.exit({ code: 0 });
  await stopped;
}

function measureHeap(): number {
  for (let pass = 0; pass < 2; pass++) collect(); // the first finds buffers, the second frees them
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function openOnFakes(clock: FakeClock, runner: FakeRunner, onSaved: (health: Health) => void) {
  let generation = 0;
  const nothing = () => {};
  return createRuntime({
    id: 'test.loops',
    runner,
    clock,
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    random: () => 0.5,
    health: { exits: [], crashTimesMs: [], broken: false, generation: 0 },
    saveHealth: async (health) => onSaved(health),
    nextGeneration: async () => ++generation,
    prepare: async (of) => createTestLaunch(of),
    createDispatch: (_launch, askable) => async () => askable(),
    append: async () => {},
    onOutput: nothing,
  });
}

const script = `
export default {
  services: { tool: { crash: () => { setImmediate(() => { throw new Error('as asked'); }); return null; }, leave: () => process.exit(3) } },
};
`;
const realEndings: ((real: RealRuntime) => unknown)[] = [
  (real) => process.kill(real.pid(), 'SIGKILL'),
  (real) => real.invoke('crash').catch(() => {}),
  (real) => real.invoke('leave').catch(() => {}),
];

/** Two lanes, each a plugin that crashes over and over; afterwards nothing that the processes took may be held. */
export async function loopOnProcesses(crashes: number): Promise<RealTally> {
  let leases = 0;
  const workshop = await openWorkshop(undefined, () =>
    countLeases((change) => {
      leases += change;
    }),
  );
  const tally = { crashes: 0, resets: 0, causes: {} as Record<string, number>, level: workshop.level };
  const native = workshop.level === 'isolated' ? compileNative() : null;
  const run = (share: number) =>
    Promise.all([
      runLane(workshop, { name: 'a', artifact: script, crashes: Math.ceil(share / 3) }, tally),
      runLane(workshop, { name: 'b', artifact: native ?? script, crashes: share - Math.ceil(share / 3) }, tally),
    ]);
  await run(2); // what Node itself opens on first use is not a leak
  Object.assign(tally, { crashes: 0, resets: 0, causes: {} });
  const look = (): Held => ({ ...lookAround(), uids: leases });
  // The tool that built the child's runner may still be ending.
  const before = await settleTo(look, ({ processes, zombies, handles }) => processes + zombies + (handles.ProcessWrap ?? 0) === 0);
  const heapBefore = measureHeap();
  await run(crashes);
  const after = await settleTo(look, (held) => JSON.stringify(held) === JSON.stringify(before));
  return { ...tally, before, after, heapGrowthBytes: measureHeap() - heapBefore };
}

type Lane = { name: string; artifact: string | Buffer; crashes: number };

async function runLane(
  workshop: Workshop,
  { name, artifact, crashes }: Lane,
  tally: Pick<RealTally, 'crashes' | 'resets' | 'causes'>,
): Promise<void> {
  const clock = createFakeClock();
  const ends: (() => unknown)[] = [];
  const owner = { teardown: (end: () => unknown) => void ends.push(end) } as Parameters<Workshop['open']>[0]; // all that open asks of a test
  const real = workshop.open(owner, { id: `test.loop-${name}`, artifact, clock });
  for (let n = 0; n < crashes; n++) {
    if (await startAgain(real.runtime, clock)) tally.resets++;
    await real.until(() => ['ready', 'backoff', 'failed'].includes(real.runtime.state()));
    void realEndings[n % realEndings.length]?.(real);
    await real.until(() => ['backoff', 'failed'].includes(real.runtime.state()));
    count(tally.causes, real.lastExit()?.cause ?? 'none');
    tally.crashes++;
    forget(real);
  }
  for (const end of ends) await end();
}

/** What the recorder of the tests keeps is not the supervisor's. */
function forget({ audit, outputs, entered, saved, started, log }: RealRuntime): void {
  for (const kept of [audit, outputs, entered, saved, log.events]) kept.length = 0;
  started.splice(0, started.length - 1);
}

async function report(kind: string, crashes: number): Promise<void> {
  const loop = { fake: loopOnFakes, real: loopOnProcesses }[kind];
  if (!loop || !(crashes > 0)) throw new Error('usage: crash-loops.ts [fake|real <crashes>]');
  const startMs = performance.now();
  const tally = await loop(crashes);
  console.log(JSON.stringify({ ...tally, tookMs: Math.round(performance.now() - startMs) }));
  if (!holdsNothing(tally)) process.exitCode = 1;
}

export const holdsNothing = (tally: FakeTally | RealTally): boolean =>
  'pendingTimers' in tally ? tally.pendingTimers === 0 : JSON.stringify(tally.after) === JSON.stringify(tally.before);

if (process.argv[1] === import.meta.filename) {
  const [kind, crashes] = process.argv.slice(2);
  if (kind !== undefined) await report(kind, Number(crashes));
  else {
    await report('fake', 10_000);
    await report('real', 2_000);
  }
}
