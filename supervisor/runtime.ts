import { asHostError, HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import type { Askable, Dispatch } from './broker.ts';
import { type Clock, type Timer, timestamp } from './clock.ts';
import type { Log } from './log.ts';
import type { Health } from './plugin-store.ts';
import { backoffDelayMs, type Cause, recentCrashes } from './restart-policy.ts';
import {
  beginRecord,
  causeOfFailedStart,
  concludeRun,
  describeEnd,
  describeExit,
  keepStderr,
  type RunRecord,
  viewExit,
} from './run-record.ts';
import type { Exit, InvokeOptions, Launch, Run, Runner } from './runner.ts';
import {
  askable,
  type Command,
  deadlinesMs,
  type Effect,
  type Fact,
  pingEveryMs,
  publicStates,
  type State,
  step,
} from './runtime-states.ts';

export type RuntimeDeps = {
  id: string;
  runner: Runner;
  clock: Clock;
  log: Log;
  random(): number; // in [0, 1): jitter
  health: Health;
  saveHealth(health: Health): Promise<void>;
  nextGeneration(): Promise<number>;
  /** What is to run now: re-hashed and re-verified against the present policy at every start. */
  prepare(generation: number): Promise<Launch>;
  createDispatch(launch: Launch, askable: () => Askable): Dispatch;
  append(entry: AuditEntry): Promise<void>;
  onOutput(generation: number, source: 'stderr' | 'stray' | 'supervisor', text: string): void;
};
export type Armed = { ok: true } | { ok: false; cause: string; message: string };

const stoppingStates: readonly State[] = ['draining', 'terminating', 'killing'];
const idleStates: readonly State[] = ['stopped', 'backoff', 'failed'];

/** One plugin's process: holds the state, arms its deadline, runs effects. An effect reports back as a fact and never sets a state. */
export function createRuntime(deps: RuntimeDeps) {
  const { id, clock, log } = deps;
  let state: State = 'stopped';
  let wantedRunning = false;
  let generation: number | null = null;
  let run: Run | null = null;
  let record: RunRecord = beginRecord(clock);
  // Crashes are counted in wall time as it would be had nobody set the clock since; only what is stored follows the clock on the wall.
  const bootWallMs = clock.wallMs() - clock.monotonicMs();
  const steadyMs = () => Math.round(bootWallMs + clock.monotonicMs());
  let health: Health = { ...deps.health, crashTimesMs: deps.health.crashTimesMs.map((at) => Math.min(at, steadyMs())) };
  let deadline: Timer | null = null;
  let pinger: Timer | null = null;
  let message: string | null = null;
  let nextRetryAt: string | null = null;
  let stoppedAt: string | null = null;
  let updatedAt = timestamp(clock);
  let closed = false; // the service stops: nothing is started any more
  let endedGeneration: number | null = null;
  let starts = 0; // of spawn effects: one that was overtaken must not act
  const waiting = new Set<() => void>();

  function persist(): void {
    const jumpMs = clock.wallMs() - steadyMs();
    const stored = { ...health, crashTimesMs: health.crashTimesMs.map((at) => Math.round(at + jumpMs)) };
    deps.saveHealth(stored).catch((error) => log.error('plugin.health', { plugin: id, code: asHostError(error).code }));
  }

  function handle(event: Command | Fact, ofGeneration: number | null = generation): void {
    if (ofGeneration !== generation) return; // a fact about a generation that is over
    const cell = step(state, event);
    if (cell === 'drop' || cell === 'keep') return;
    const before = state;
    if (event === 'timeout' && before === 'starting')
      record.fault ??= { cause: 'not-ready-in-time', detail: 'no answer to initialize in time' };
    if (event === 'timeout' && before === 'ready') record.fault ??= { cause: 'hung', detail: 'no answer to ping' };
    state = cell.enter;
    armDeadline();
    if (before !== state) noteChange(before, event);
    for (const effect of cell.effects) runEffect(effect);
    for (const notify of [...waiting]) notify(); // before the next start: who waits for the end must see it
    if (state === 'stopped' && wantedRunning) handle('start');
  }

  function armDeadline(): void {
    deadline?.cancel();
    const backoffMs =
      state === 'backoff' ? backoffDelayMs(recentCrashes(health.crashTimesMs, steadyMs()).length, deps.random()) : undefined;
    nextRetryAt = backoffMs === undefined ? null : new Date(clock.wallMs() + backoffMs).toISOString();
    // While there is no process yet, reading its bytes has limits of its own, and there is nothing to end.
    const delayMs = backoffMs ?? (run ? deadlinesMs[state] : undefined);
    const of = generation;
    deadline = delayMs === undefined ? null : clock.timer(delayMs, () => handle('timeout', of));
  }

  function noteChange(before: State, event: Command | Fact): void {
    updatedAt = timestamp(clock);
    pinger?.cancel();
    pinger = null;
    if (state === 'ready') {
      message = null;
      ping();
    }
    log.info('plugin.runtime', { plugin: id, generation, from: before, to: state, on: event, message });
    const [from, to] = [publicStates[before], publicStates[state]];
    if (from === to) return;
    const entry: AuditEntry = {
      kind: 'plugin.runtime',
      plugin: id,
      generation,
      code: record.fault?.cause ?? null,
      summary: JSON.stringify({ from, to, on: event }),
    };
    deps.append(entry).catch((error) => log.error('audit.append', { code: asHostError(error).code }));
  }

  function ping(): void {
    const of = generation;
    pinger = clock.timer(pingEveryMs, () => {
      run?.ping().then(
        () => handle('pong', of),
        () => {}, // an unanswered ping is what the deadline waits for
      );
      ping();
    });
  }

  const effects: Record<Effect, () => void> = {
    spawn: () => void spawn(),
    sendShutdown() {
      const of = generation;
      const drained = () => handle('drained', of);
      run?.shutdown().then(drained, drained);
    },
    revokeGrant() {}, // the state itself is the grant: the broker asks it before every call
    sendTerm: () => (run ? run.terminate() : overtakeSpawn()),
    sendKill: () => (run ? run.kill() : overtakeSpawn()),
    clearCrashes() {
      health = { ...health, crashTimesMs: [], broken: false };
      persist();
    },
    reportUnkillable() {
      run?.kill(); // the last resort of the runner
      message = 'the process could not be killed';
      log.error('plugin.unkillable', { plugin: id, generation, pid: run?.pid });
    },
  };

  function runEffect(effect: Effect): void {
    try {
      effects[effect]();
    } catch (error) {
      log.error('plugin.effect', { plugin: id, effect, error: String(error) }); // one runtime's bug stays its own
    }
  }

  /** Nothing runs yet, so nothing has to end: what is being read and started is given up, and a process that comes of it is killed. */
  function overtakeSpawn(): void {
    starts++;
    ended(generation, { cause: 'stopped', code: null, signal: null, detail: 'stopped before it was started' });
  }

  async function spawn(): Promise<void> {
    const mine = ++starts;
    run = null;
    record = beginRecord(clock);
    generation = null; // whatever an overtaken start still tells is of no generation any more
    let of: number | null = null;
    try {
      const next = await deps.nextGeneration();
      if (mine !== starts) return;
      generation = of = next;
      armDeadline();
      const launch = await deps.prepare(next);
      if (mine !== starts) return;
      await startRun(launch, next, mine);
    } catch (thrown) {
      const { code, message: detail } = asHostError(thrown);
      if (code === 'internal') log.error('plugin.start', { plugin: id, error: thrown instanceof Error ? thrown.stack : String(thrown) });
      if (mine === starts) ended(of, { cause: causeOfFailedStart(thrown), code: null, signal: null, detail });
    }
  }

  async function startRun(launch: Launch, of: number, mine: number): Promise<void> {
    const dispatch = deps.createDispatch(launch, () => (of === generation ? askable[state] : 'none'));
    const noted: Dispatch = (method, params, context) => {
      record.lastHostCall = method.slice(0, 64);
      return dispatch(method, params, context);
    };
    let [isReady, isKnown] = [false, false]; // one that needs no process is ready at once, and may not be called before we hold it
    const started = await deps.runner.start(launch, noted, {
      ready() {
        isReady = true;
        if (isKnown) handle('ready', of);
      },
      violated(rule, detail) {
        record.fault ??= { cause: 'protocol-violation', detail: `${rule}: ${detail}` };
        handle('violated', of);
      },
      output(source, text) {
        if (source === 'stderr' && of === generation) keepStderr(record, text);
        deps.onOutput(of, source, text);
      },
      crashed: (exit) => countCrash(of, exit),
      exited: (exit) => ended(of, exit),
    });
    if (mine !== starts) return started.kill();
    if (endedGeneration === of) return; // it has ended before we were told that it began
    run = started;
    isKnown = true;
    armDeadline();
    catchUp(started);
    if (isReady) handle('ready', of);
  }

  /** A stop may have come while the process was being started. */
  function catchUp(started: Run): void {
    if (state === 'terminating') started.terminate();
    else if (state !== 'starting' && state !== 'ready') started.kill();
  }

  /** One action's process crashed, and the generation goes on while the budget of crashes lasts: then it ends for the same cause. */
  function countCrash(of: number, exit: Exit): void {
    if (of !== generation || of === endedGeneration || stoppingStates.includes(state)) return;
    const seen = { ...record, stderrTail: [...record.stderrTail] };
    const conclusion = concludeRun(seen, exit, { generation: of, stopping: false, wantedRunning, health, clock, nowMs: steadyMs() });
    const detail = describeEnd(conclusion.exit);
    if (conclusion.fact !== 'crashed') {
      record.fault ??= { cause: exit.cause, detail: `an action crashed: ${detail}` };
      return handle('violated', of);
    }
    health = conclusion.health;
    message = `an action crashed: ${detail}`;
    updatedAt = timestamp(clock);
    persist();
    deps.onOutput(of, 'supervisor', message);
  }

  function ended(of: number | null, exit: Exit): void {
    if (of !== generation || (of !== null && of === endedGeneration)) return;
    endedGeneration = of;
    const stopping = stoppingStates.includes(state);
    const conclusion = concludeRun(record, exit, { generation: of ?? 0, stopping, wantedRunning, health, clock, nowMs: steadyMs() });
    health = conclusion.health;
    message = conclusion.message;
    if (!conclusion.expected) record.fault ??= { cause: exit.cause, detail: exit.detail };
    run = null;
    stoppedAt = timestamp(clock);
    persist();
    if (message !== null) deps.onOutput(of ?? 0, 'supervisor', message);
    handle(conclusion.fact, of);
  }

  function command(name: Command): void {
    if (closed && name !== 'stop') return;
    wantedRunning = name !== 'stop';
    handle(name);
  }

  /** Resolves when the state is one of these. Every state that is waited in has a deadline, so this ends. */
  function reached(...wanted: readonly State[]): Promise<State> {
    if (wanted.includes(state)) return Promise.resolve(state);
    return new Promise((resolve) => {
      const notify = () => {
        if (!wanted.includes(state)) return;
        waiting.delete(notify);
        resolve(state);
      };
      waiting.add(notify);
    });
  }

  async function arm(): Promise<Armed> {
    if (!idleStates.includes(state)) {
      command('stop'); // what is under way was started with what was wanted before
      await reached('stopped', 'failed');
    }
    command('start');
    if (closed) return { ok: false, cause: 'stopped', message: 'the service is stopping' };
    const end = await reached('ready', 'backoff', 'failed', 'stopped');
    if (end === 'ready') return { ok: true };
    const [last] = health.exits;
    return { ok: false, cause: last?.cause ?? 'unknown', message: last ? describeExit(last) : 'it did not become ready' };
  }

  async function stop(): Promise<void> {
    command('stop');
    await reached('stopped', 'failed');
  }

  return {
    id,
    command,
    /** Starts it, or restarts it when it is armed, and waits until it is ready or has failed to be. */
    arm,
    stop,
    /** Stops it, and lets nothing start it again. */
    close(): Promise<void> {
      closed = true;
      return stop();
    },
    /** Ends it at once for a reason of ours, and for good: trust lost. */
    condemn(cause: Cause, detail: string): void {
      record.fault = { cause, detail };
      handle('violated');
    },
    /** An operator's order to forget the crashes and try again. */
    reset(): void {
      effects.clearCrashes();
      command('start');
    },
    /** Shown failed, and not started, because the breaker was open when the service stopped. */
    markBroken(): void {
      state = 'failed';
      message = 'it failed for good before the service was restarted; reset it to try again';
    },
    async invoke(service: string, method: string, payload: unknown, options: InvokeOptions): Promise<unknown> {
      if (state === 'ready' && run) return run.invoke(service, method, payload, options).catch(rethrowForCaller(id));
      throw new HostError('unavailable', `${id} is ${publicStates[state]}, not armed`, { hint: `see why: lattice plugins why ${id}` });
    },
    state: (): State => state,
    view: () => ({
      state: publicStates[state],
      runner: deps.runner.name,
      sandbox: run?.sandbox ?? null,
      limits_not_enforced: [...(run?.limitsNotEnforced ?? [])],
      generation,
      pid: run?.pid ?? null,
      message,
      restarts: recentCrashes(health.crashTimesMs, steadyMs()).length,
      next_retry_at: nextRetryAt,
      started_at: run ? record.startedAt : null,
      stopped_at: stoppedAt,
      updated_at: updatedAt,
    }),
    why: () => ({
      message,
      uptime_ms: run ? Math.round(clock.monotonicMs() - record.startedAtMs) : null,
      next_retry_at: nextRetryAt,
      last_host_call: run ? record.lastHostCall : null,
      exits: health.exits.map(viewExit),
      counters: run?.counters() ?? {},
    }),
  };
}

export type Runtime = ReturnType<typeof createRuntime>;

/** A plugin's error goes to its caller with a word that says nothing about the caller's own rights, and with bounded details. */
const rethrowForCaller =
  (id: string) =>
  (thrown: unknown): never => {
    const { code, message, details } = asHostError(thrown);
    const hint = typeof details.hint === 'string' ? { hint: details.hint.slice(0, 300).toWellFormed() } : {};
    if (code === 'unauthenticated' || code === 'forbidden') throw new HostError('internal', `${id} answered ${code}: ${message}`, hint);
    throw new HostError(code, message, hint);
  };
