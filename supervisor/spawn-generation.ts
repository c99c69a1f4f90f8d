import { asHostError } from '../protocol/errors.ts';
import { viewOwed } from './answers-heard.ts';
import type { Dispatch } from './broker.ts';
import type { Clock } from './clock.ts';
import { beginRecord, causeOfFailedStart, keepStderr, type RunRecord } from './run-record.ts';
import type { Exit, Launch, Run } from './runner.ts';
import type { RuntimeDeps } from './runtime.ts';
import { askable, type State } from './runtime-states.ts';

export type SpawnDeps = Pick<RuntimeDeps, 'id' | 'runner' | 'clock' | 'log' | 'nextGeneration' | 'prepare' | 'createDispatch' | 'onOutput'>;
/** What a start tells its runtime; each of these is of the generation that is current. */
export type SpawnEvents = {
  state(): State;
  /** There is a generation, or a process of it, and the state's deadline depends on that. */
  progressed(): void;
  ready(): void;
  violated(): void;
  crashed(exit: Exit): void;
  ended(exit: Exit): void;
};
export type Current = { generation: number | null; run: Run | null; record: RunRecord };

/** Starts one generation after the other. Whatever an overtaken start or a generation that is over still tells is dropped here. */
export function createSpawner(deps: SpawnDeps, on: SpawnEvents) {
  const { id, clock, log } = deps;
  const current: Current = { generation: null, run: null, record: beginRecord(clock) };
  let endedGeneration: number | null = null;
  let starts = 0; // one that was overtaken must not act

  const isOver = (of: number | null): boolean => of !== current.generation || (of !== null && of === endedGeneration);

  /** A fault in what a runner's word brings about stays this runtime's own: the word may come from an event of the process. */
  const guarded =
    <Words extends unknown[]>(name: string, act: (...words: Words) => void) =>
    (...words: Words): void => {
      try {
        act(...words);
      } catch (error) {
        log.error('plugin.fault', { plugin: id, in: name, error: String(error) });
      }
    };

  function end(of: number | null, exit: Exit): void {
    if (isOver(of)) return;
    endedGeneration = of;
    current.run = null;
    on.ended(exit);
  }

  async function spawn(): Promise<void> {
    const mine = ++starts;
    Object.assign(current, { generation: null, run: null, record: beginRecord(clock) } satisfies Current);
    let of: number | null = null;
    try {
      const next = await deps.nextGeneration();
      if (mine !== starts) return;
      current.generation = of = next;
      on.progressed();
      const launch = await deps.prepare(next);
      if (mine !== starts) return;
      await startRun(launch, next, mine);
    } catch (thrown) {
      const { code, message: detail } = asHostError(thrown);
      if (code === 'internal') log.error('plugin.start', { plugin: id, error: thrown instanceof Error ? thrown.stack : String(thrown) });
      if (mine === starts) end(of, { cause: causeOfFailedStart(thrown), code: null, signal: null, detail });
    }
  }

  async function startRun(launch: Launch, of: number, mine: number): Promise<void> {
    current.record.version = launch.plugin.version;
    const dispatch = deps.createDispatch(launch, () => (of === current.generation ? askable[on.state()] : 'none'));
    const noted: Dispatch = (method, params, context) => {
      current.record.lastHostCall = method.slice(0, 64);
      return dispatch(method, params, context);
    };
    let [isReady, isKnown] = [false, false]; // one that needs no process is ready at once, and may not be called before we hold it
    const started = await deps.runner.start(launch, noted, {
      ready: guarded('ready', () => {
        isReady = true;
        if (isKnown && of === current.generation) on.ready();
      }),
      violated: guarded('violated', (rule, detail) => {
        if (of !== current.generation) return;
        current.record.fault ??= { cause: 'protocol-violation', detail: `${rule}: ${detail}` };
        on.violated();
      }),
      output: guarded('output', (source, text) => {
        if (source === 'stderr' && of === current.generation) keepStderr(current.record, text);
        deps.onOutput(of, source, text);
      }),
      crashed: guarded('crashed', (exit) => {
        if (!isOver(of)) on.crashed(exit);
      }),
      exited: guarded('exited', (exit) => end(of, exit)),
    });
    if (mine !== starts) return started.kill();
    if (endedGeneration === of) return; // it has ended before we were told that it began
    current.run = started;
    isKnown = true;
    on.progressed();
    catchUp(started);
    if (isReady && of === current.generation) on.ready();
  }

  /** A stop may have come while the process was being started. */
  function catchUp(started: Run): void {
    const state = on.state();
    if (state === 'terminating') started.terminate();
    else if (state !== 'starting' && state !== 'ready') started.kill();
  }

  return {
    current: current as Readonly<Current>,
    spawn,
    /** Nothing runs yet, so nothing has to end: what is being read and started is given up, and a process that comes of it is killed. */
    overtake(): void {
      starts++;
      end(current.generation, { cause: 'stopped', code: null, signal: null, detail: 'stopped before it was started' });
    },
  };
}

/** What the API shows of the process; all of it is null when none runs. */
export const viewProcess = ({ generation, run, record }: Current) => ({
  sandbox: run?.sandbox ?? null,
  limits_not_enforced: [...(run?.limitsNotEnforced ?? [])],
  generation,
  pid: run?.pid ?? null,
  started_at: run ? record.startedAt : null,
});

export const explainProcess = ({ run, record }: Current, clock: Clock) => ({
  uptime_ms: run ? Math.round(clock.monotonicMs() - record.startedAtMs) : null,
  last_host_call: run ? record.lastHostCall : null,
  owed: run ? viewOwed(record, clock) : null,
  counters: run?.counters() ?? {},
});
