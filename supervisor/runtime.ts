import { asHostError, HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import type { Askable, Dispatch } from './broker.ts';
import { type Clock, type Timer, timestamp } from './clock.ts';
import type { Log } from './log.ts';
import type { ExitRecord, Health } from './plugin-store.ts';
import { backoffDelayMs, type Cause, judgeExit, recentCrashes } from './restart-policy.ts';
import type { Exit, InvokeOptions, Launch, Run, Runner } from './runner.ts';
import {
  askable,
  type Command,
  deadlinesMs,
  type Effect,
  type Fact,
  type PublicState,
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

const exitsKept = 20;
const stderrKept = 20;

/** One plugin's process: holds the state, arms its deadline, runs effects. An effect reports back as a fact and never sets a state. */
export function createRuntime(deps: RuntimeDeps) {
  const { clock, log } = deps;
  let state: State = 'stopped';
  let wantedRunning = false;
  let generation: number | null = null;
  let run: Run | null = null;
  let health = deps.health;
  let deadline: Timer | null = null;
  let pinger: Timer | null = null;
  let failure: Cause | null = null; // what we saw before the exit, and why it will come
  let message: string | null = null;
  let startedAtMs: number | null = null;
  let startedAt: string | null = null;
  let stoppedAt: string | null = null;
  let updatedAt = timestamp(clock);
  let nextRetryAt: string | null = null;
  let stderrTail: string[] = [];
  let lastHostCall: string | null = null;
  let protocolFault: string | null = null;
  const waiting = new Set<(state: State) => void>();

  function handle(event: Command | Fact, ofGeneration: number | null = generation): void {
    if (ofGeneration !== generation) return; // a fact about a generation that is over
    const cell = step(state, event);
    if (cell === 'drop' || cell === 'keep') return;
    const before = state;
    if (event === 'timeout') noteTimeout(before);
    state = cell.enter;
    armDeadline();
    if (before !== state) changed(before, event);
    for (const effect of cell.effects) runEffect(effect);
    if (state === 'stopped' && wantedRunning) handle('start');
    for (const notify of [...waiting]) notify(state);
  }

  function noteTimeout(before: State): void {
    if (before === 'starting') failure ??= 'not-ready-in-time';
    if (before === 'ready') failure ??= 'hung';
  }

  function armDeadline(): void {
    deadline?.cancel();
    nextRetryAt = null;
    const backoffMs =
      state === 'backoff' ? backoffDelayMs(recentCrashes(health.crashTimesMs, clock.wallMs()).length, deps.random()) : undefined;
    if (backoffMs !== undefined) nextRetryAt = new Date(clock.wallMs() + backoffMs).toISOString();
    const delayMs = backoffMs ?? deadlinesMs[state];
    const of = generation;
    deadline = delayMs === undefined ? null : clock.timer(delayMs, () => handle('timeout', of));
  }

  function changed(before: State, event: Command | Fact): void {
    updatedAt = timestamp(clock);
    if (state === 'ready') {
      message = null;
      ping();
    } else {
      pinger?.cancel();
      pinger = null;
    }
    log.info('plugin.runtime', { plugin: deps.id, generation, from: before, to: state, on: event, ...(message ? { message } : {}) });
    const entry: AuditEntry = {
      kind: 'plugin.runtime',
      plugin: deps.id,
      generation,
      code: failure,
      summary: JSON.stringify({ from: publicStates[before], to: publicStates[state], on: event }),
    };
    if (publicStates[before] !== publicStates[state])
      deps.append(entry).catch((error) => log.error('audit.append', { error: asHostError(error).code }));
  }

  function ping(): void {
    const of = generation;
    pinger = clock.timer(pingEveryMs, () => {
      if (of !== generation || state !== 'ready') return;
      run?.ping().then(
        () => handle('pong', of),
        () => {},
      ); // an unanswered ping is what the deadline waits for
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
    sendTerm: () => run?.terminate(),
    sendKill: () => run?.kill(),
    clearCrashes() {
      health = { ...health, crashTimesMs: [], broken: false };
      persist();
    },
    reportUnkillable() {
      message = 'the process could not be killed';
      log.error('plugin.unkillable', { plugin: deps.id, generation, pid: run?.pid });
    },
  };

  function runEffect(effect: Effect): void {
    try {
      effects[effect]();
    } catch (error) {
      log.error('plugin.effect', { plugin: deps.id, effect, error: String(error) }); // one runtime's bug stays its own
    }
  }

  const persist = () =>
    void deps.saveHealth(health).catch((error) => log.error('plugin.health', { plugin: deps.id, error: asHostError(error).code }));

  async function spawn(): Promise<void> {
    run = null;
    failure = null;
    protocolFault = null;
    stderrTail = [];
    startedAtMs = clock.monotonicMs();
    startedAt = timestamp(clock);
    const mine = Symbol('spawn');
    spawning = mine;
    const stillMine = () => spawning === mine;
    let number: number | null = null;
    try {
      number = await deps.nextGeneration();
      if (!stillMine()) return;
      generation = number;
      armDeadline();
      const launch = await deps.prepare(number);
      const of = number;
      if (of !== generation) return;
      if (state !== 'starting') return ended(of, { cause: 'stopped', code: null, signal: null, detail: 'stopped before it was started' });
      const started = await deps.runner.start(
        launch,
        trackHostCalls(deps.createDispatch(launch, () => (of === generation ? askable[state] : 'none'))),
        {
          ready: () => handle('ready', of),
          violated(rule, detail) {
            failure ??= 'protocol-violation';
            protocolFault = `${rule}: ${detail}`;
            handle('violated', of);
          },
          output: (source, text) => keepOutput(of, source, text),
          exited: (exit) => ended(of, exit),
        },
      );
      if (of !== generation) return started.kill();
      run = started;
      catchUp(started);

    } catch (thrown) {
      if (asHostError(thrown).code === 'internal') log.error('plugin.start', { plugin: deps.id, error: thrown instanceof Error ? thrown.stack : String(thrown) });
      if (stillMine())
        ended(generation, { cause: causeOfFailedStart(thrown), code: null, signal: null, detail: asHostError(thrown).message });
    }
  }
  let spawning: symbol | null = null;

  /** A stop may have come while the process was being started. */
  function catchUp(started: Run): void {
    if (state === 'terminating') started.terminate();
    if (state === 'killing') started.kill();
  }

  function trackHostCalls(dispatch: Dispatch): Dispatch {
    return (method, params, context) => {
      lastHostCall = method.slice(0, 64);
      return dispatch(method, params, context);
    };
  }

  function keepOutput(of: number, source: 'stderr' | 'stray', text: string): void {
    if (source === 'stderr' && of === generation) {
      stderrTail.push(text.slice(0, 500));
      if (stderrTail.length > stderrKept) stderrTail.shift();
    }
    deps.onOutput(of, source, text);
  }

  function ended(of: number | null, exit: Exit): void {
    if (of !== generation) return;
    const cause = failure ?? (wantedRunning || exit.cause !== 'signal' ? exit.cause : 'stopped');
    const wasStopping = state === 'draining' || state === 'terminating' || state === 'killing';
    const expected = wasStopping && failure === null;
    const nowMs = clock.wallMs();
    const record: ExitRecord = {
      generation: of ?? 0,
      startedAt: startedAt ?? timestamp(clock),
      endedAt: timestamp(clock),
      cause: expected ? 'stopped' : cause,
      code: exit.code,
      signal: exit.signal,
      detail: protocolFault ?? exit.detail,
      stderrTail,
      lastHostCall,
    };
    const crashTimesMs = expected ? health.crashTimesMs : recentCrashes([...health.crashTimesMs, nowMs], nowMs);
    const fact: Fact = expected ? 'exited' : judgeExit(wantedRunning, cause, crashTimesMs, nowMs);
    health = {
      ...health,
      exits: [record, ...health.exits].slice(0, exitsKept),
      crashTimesMs,
      broken: fact === 'exhausted' || fact === 'fatal',
    };
    if (!expected) message = describe(record, fact);
    failure = expected ? null : (cause as Cause);
    run = null;
    stoppedAt = timestamp(clock);
    startedAtMs = null;
    lastHostCall = null;
    persist();
    if (!expected && message) deps.onOutput(of ?? 0, 'supervisor', message);
    handle(fact, of);
    failure = null;
  }

  function command(name: Command): void {
    wantedRunning = name !== 'stop';
    handle(name);
  }

  /** Resolves when the state is one of these; the caller bounds the wait by what the deadlines bound. */
  function reached(wanted: readonly State[]): Promise<State> {
    if (wanted.includes(state)) return Promise.resolve(state);
    return new Promise((resolve) => {
      const notify = (now: State) => {
        if (!wanted.includes(now)) return;
        waiting.delete(notify);
        resolve(now);
      };
      waiting.add(notify);
    });
  }

  return {
    id: deps.id,
    command,
    /** Starts (or restarts) and waits until it is ready, or has failed to be: then why. */
    async arm(): Promise<{ ok: true } | { ok: false; cause: string; message: string }> {
      if (state === 'ready') {
        command('restart');
        await reached(['stopped', 'starting', 'backoff', 'failed']);
      } else command('start');
      const end = await reached(['ready', 'backoff', 'failed', 'stopped']);
      if (end === 'ready') return { ok: true };
      return { ok: false, cause: health.exits[0]?.cause ?? 'unknown', message: message ?? 'the plugin did not become ready' };
    },
    async stop(): Promise<void> {
      command('stop');
      await reached(['stopped', 'failed']);
    },
    /** Ends it at once for a reason of ours, and for good: trust lost. */
    condemn(cause: Cause, detail: string): void {
      if (!run) return;
      failure = cause;
      protocolFault = detail;
      handle('violated');
    },
    /** Shown failed, and not started, because the breaker was open when the service stopped. */
    markBroken(): void {
      state = 'failed';
      message = 'restart intensity was exhausted earlier; reset it to try again';
    },
    async invoke(service: string, method: string, payload: unknown, options: InvokeOptions): Promise<unknown> {
      if (state !== 'ready' || !run)
        throw new HostError('unavailable', `${deps.id} is ${publicStates[state]}, not armed`, {
          hint: `see why: lattice plugins why ${deps.id}`,
        });
      return run.invoke(service, method, payload, options);
    },
    state: (): State => state,
    view: () => ({
      state: publicStates[state] as PublicState,
      runner: deps.runner.name,
      sandbox: run?.sandbox ?? null,
      limits_not_enforced: [...(run?.limitsNotEnforced ?? [])],
      generation,
      pid: run?.pid ?? null,
      message,
      restarts: recentCrashes(health.crashTimesMs, clock.wallMs()).length,
      next_retry_at: nextRetryAt,
      started_at: run ? startedAt : null,
      stopped_at: stoppedAt,
      updated_at: updatedAt,
    }),
    why: () => ({
      message,
      uptime_ms: run && startedAtMs !== null ? Math.round(clock.monotonicMs() - startedAtMs) : null,
      next_retry_at: nextRetryAt,
      last_host_call: lastHostCall,
      exits: health.exits,
      counters: run?.counters() ?? {},
    }),
  };
}

export type Runtime = ReturnType<typeof createRuntime>;

function causeOfFailedStart(thrown: unknown): Cause {
  const { code } = asHostError(thrown);
  if (code === 'sandbox-unavailable') return 'sandbox-unavailable';
  if (code === 'verification-failed') return 'trust-lost';
  return 'spawn-failed';
}

function describe(record: ExitRecord, fact: Fact): string {
  const how = record.signal ? `signal ${record.signal}` : record.code !== null ? `exit code ${record.code}` : record.detail;
  const next =
    {
      crashed: 'it is started again',
      exhausted: 'it crashed too often and is not started again',
      fatal: 'it is not started again',
      exited: '',
    }[fact as 'crashed'] ?? '';
  const detail = record.detail && record.detail !== how ? ` (${record.detail})` : '';
  return `generation ${record.generation} ended: ${record.cause}, ${how}${detail}${next ? `; ${next}` : ''}`;
}
