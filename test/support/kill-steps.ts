import { readFileSync } from 'node:fs';
import { asHostError } from '../../protocol/errors.ts';
import type { HostHandlers } from '../../supervisor/broker.ts';
import { eventually } from './eventually.ts';
import { createFakeClock, type FakeClock } from './fake-clock.ts';
import type { RealRuntime, Workshop } from './real-runtime.ts';

export const readFault = (name: string): string => readFileSync(new URL(`../children/faults/${name}`, import.meta.url), 'utf8');

/** What a step is given: a runtime whose own clock stands still, so that it does nothing but what the kill brings about. */
export type Stage = {
  real: RealRuntime;
  clock: FakeClock;
  round: number;
  /** The held `kv.put` of this round: resolves when its handler runs; the handler answers when it is let go. */
  held: { running: Promise<AbortSignal>; release(): void };
};
export type Outcome = {
  state: string;
  cause: string | undefined;
  signal: string | null | undefined;
  settled: string[];
  decisions: string[];
};
export type KillStep = {
  hold?: string; // where the plugin itself stops
  /** Brings the child to the step, and returns the calls that are pending there. */
  drive(stage: Stage): Promise<Promise<unknown>[]>;
  after?(stage: Stage): Promise<void> | void;
  expected: Outcome;
};

const crashed = { state: 'backoff', cause: 'signal', signal: 'SIGKILL', decisions: [] };
const asked = { state: 'stopped', cause: 'stopped', signal: 'SIGKILL', settled: [], decisions: [] };
const ready = ({ real }: Stage): Promise<void> => real.arm();
const put = ({ real, round }: Stage) => real.invoke('put', { key: `round-${round}`, value: 'x' });

/** Each place in a child's life where the wire is in another state. */
export const killSteps: Record<string, KillStep> = {
  'has just been spawned': {
    async drive({ real }) {
      const count = real.started.length;
      real.runtime.command('start');
      await eventually(() => real.started.length > count && real.run().pid !== null);
      return [];
    },
    expected: { ...crashed, settled: [] },
  },
  'has not answered initialize': {
    hold: 'start',
    async drive({ real, round }) {
      real.runtime.command('start');
      await real.heard('starting', round);
      return [];
    },
    expected: { ...crashed, settled: [] },
  },
  'is ready': {
    async drive(stage) {
      await ready(stage);
      return [];
    },
    expected: { ...crashed, settled: [] },
  },
  'has 64 calls in flight and 6 in the queue': {
    async drive(stage) {
      await ready(stage);
      const calls = Array.from({ length: 70 }, (_, n) => stage.real.invoke('hang', `${stage.round}-${n}.`));
      await stage.real.heard(`hanging ${stage.round}-63.`);
      return calls;
    },
    expected: { ...crashed, settled: Array.from({ length: 70 }, () => 'plugin-crashed') },
  },
  'waits for a host call': {
    async drive(stage) {
      await ready(stage);
      const call = put(stage);
      await stage.held.running;
      return [call];
    },
    async after({ held }) {
      if (!(await held.running).aborted) throw new Error('the handler was not told');
    },
    expected: { ...crashed, settled: ['plugin-crashed'], decisions: ['kv.put allow'] },
  },
  'is being answered a host call': {
    async drive(stage) {
      await ready(stage);
      const call = put(stage);
      await stage.held.running;
      process.kill(stage.real.pid(), 'SIGSTOP'); // otherwise it may win the race and answer the call
      stage.held.release();
      return [call];
    },
    expected: { ...crashed, settled: ['plugin-crashed'], decisions: ['kv.put allow'] },
  },
  'has reported progress': {
    async drive(stage) {
      await ready(stage);
      const heard = Promise.withResolvers<unknown>();
      const call = stage.real.runtime.invoke('tool', 'progress', stage.round, { timeoutMs: 60_000, onProgress: heard.resolve });
      await heard.promise;
      return [call];
    },
    expected: { ...crashed, settled: ['plugin-crashed'] },
  },
  'was told to cancel': {
    async drive(stage) {
      await ready(stage);
      const controller = new AbortController();
      const name = `${stage.round}.`;
      const call = stage.real.runtime.invoke('tool', 'heedless', name, { timeoutMs: 60_000, signal: controller.signal });
      call.catch(() => {}); // looked at below, with the others
      await stage.real.heard(`hanging ${name}`);
      controller.abort();
      await stage.real.heard(`told to cancel ${name}`);
      return [call, stage.real.invoke('hang', 'beside it')];
    },
    expected: { ...crashed, settled: ['cancelled', 'plugin-crashed'] },
  },
  'was pinged': {
    async drive(stage) {
      await ready(stage);
      process.kill(stage.real.pid(), 'SIGSTOP');
      await stage.clock.advance(10_000);
      return [];
    },
    expected: { ...crashed, settled: [] },
  },
  'has written half a line': {
    async drive(stage) {
      await ready(stage);
      const call = stage.real.invoke('halfLine');
      await stage.real.heard('half a line is out', stage.round);
      return [call];
    },
    expected: { ...crashed, settled: ['plugin-crashed'] },
  },
  'has not answered shutdown': {
    hold: 'shutdown',
    async drive(stage) {
      await ready(stage);
      const call = stage.real.invoke('hang', 'while it stops');
      stage.real.runtime.command('stop');
      await stage.real.heard('shutting down', stage.round);
      return [call];
    },
    expected: { ...asked, settled: ['plugin-crashed'] },
  },
  'has answered shutdown and does not end': {
    hold: 'term',
    async drive(stage) {
      await ready(stage);
      const mark = stage.real.entered.length;
      stage.real.runtime.command('stop');
      await stage.real.reached('terminating', mark);
      return [];
    },
    expected: asked,
  },
};

/** Kills one plugin at the step, so many times, and tells what came of each time. */
export async function* killAt(
  workshop: Workshop,
  t: Parameters<Workshop['open']>[0],
  step: KillStep,
  rounds: number,
): AsyncGenerator<Outcome> {
  const clock = createFakeClock();
  let stage: Stage | null = null;
  let running = Promise.withResolvers<AbortSignal>();
  let released = Promise.withResolvers<void>();
  const handlers: Partial<HostHandlers> = {
    async 'kv.put'(_params, { entry, signal }) {
      await stage?.real.append(entry);
      running.resolve(signal);
      await released.promise;
      return { revision: 1 };
    },
  };
  const real = workshop.open(t, { artifact: readFault('steps.js'), clock, handlers, launch: { config: { hold: step.hold ?? null } } });
  for (let round = 1; round <= rounds; round++) {
    running = Promise.withResolvers();
    released = Promise.withResolvers();
    stage = { real, clock, round, held: { running: running.promise, release: released.resolve } };
    const [mark, rows] = [real.entered.length, real.decisions().length];
    const pending = (await step.drive(stage)).map((call) =>
      call.then(
        () => 'answered',
        (error) => asHostError(error).code,
      ),
    );
    process.kill(real.pid(), 'SIGKILL');
    await real.until(() => real.entered.slice(mark).some((state) => ['backoff', 'stopped', 'failed'].includes(state)));
    const settled = await Promise.all(pending);
    await step.after?.(stage);
    released.resolve();
    const exit = real.lastExit();
    const decisions = real
      .decisions()
      .slice(rows)
      .map(({ method, verdict }) => `${method} ${verdict}`);
    yield { state: real.runtime.state(), cause: exit?.cause, signal: exit?.signal, settled, decisions };
    // The crashes of the test itself must not use up the budget.
    if (real.runtime.state() === 'backoff') real.runtime.command('stop');
    await forgetCrashes(real, clock);
  }
}

const forgetCrashes = (_real: RealRuntime, clock: FakeClock): Promise<void> => clock.advance(11 * 60_000);

/** Numbers that look random and are the same for the same seed (mulberry32), in [0, 1). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type LoadOutcome = {
  answered: number;
  crashed: number;
  other: string[];
  unrecorded: string[];
  repeated: string[];
  strayed: string[];
};

/** Kills a child that 20 callers keep busy with host calls, at the ask that the seed picks. */
export async function* killUnderLoad(
  workshop: Workshop,
  t: Parameters<Workshop['open']>[0],
  rounds: number,
  seed: number,
): AsyncGenerator<LoadOutcome> {
  const random = createRandom(seed);
  const clock = createFakeClock();
  let asksLeft = 0;
  const rows = new Map<string, number[]>(); // key -> the generations that asked for it
  const real = workshop.open(t, {
    artifact: readFault('steps.js'),
    clock,
    handlers: {
      async 'kv.put'({ key }, { entry, generation }) {
        await real.append(entry);
        rows.set(key, [...(rows.get(key) ?? []), generation]);
        if (--asksLeft === 0) process.kill(real.pid(), 'SIGKILL'); // this ask is recorded, and nobody is left to be told
        return { revision: 1 };
      },
    },
  });
  for (let round = 1; round <= rounds; round++) {
    await real.arm();
    const mark = real.entered.length;
    const outcome: LoadOutcome = { answered: 0, crashed: 0, other: [], unrecorded: [], repeated: [], strayed: [] };
    asksLeft = 1 + Math.floor(random() * 200);
    const callers = Array.from({ length: 20 }, async (_, caller) => {
      for (let n = 0; asksLeft > 0; n++) {
        const key = `${round}.${caller}.${n}`;
        const code = await real.invoke('put', { key, value: 'x' }).then(
          () => null,
          (error) => asHostError(error).code,
        );
        if (code === null) {
          outcome.answered++;
          if (rows.get(key)?.length !== 1) outcome.unrecorded.push(key);
          continue;
        }
        if (code === 'plugin-crashed') outcome.crashed++;
        else outcome.other.push(code);
        return; // also where the test was given up meanwhile
      }
    });
    await Promise.all(callers);
    await real.until(() => real.entered.slice(mark).includes('backoff'));
    for (const [key, generations] of rows) {
      if (generations.length > 1) outcome.repeated.push(key);
      if (Number(key.split('.')[0]) !== generations[0]) outcome.strayed.push(key);
    }
    yield outcome;
    real.runtime.command('stop');
    await clock.advance(11 * 60_000);
  }
}
