import { asHostError } from '../protocol/errors.ts';
import { hear, listen } from './answers-heard.ts';
import type { AuditEntry } from './audit.ts';
import type { Askable, Dispatch } from './broker.ts';
import { type Clock, type Timer, timestamp } from './clock.ts';
import { createCrashHistory } from './crash-history.ts';
import { givenUp, notArmed } from './given-up.ts';
import type { Log } from './log.ts';
import type { Health } from './plugin-store.ts';
import { backoffDelayMs, type Cause } from './restart-policy.ts';
import { rethrowForCaller } from './rethrow-for-caller.ts';
import { describeEnd, describeExit, viewExit } from './run-record.ts';
import type { Exit, InvokeOptions, Launch, Runner } from './runner.ts';
import { type Command, deadlinesMs, type Effect, type Fact, pingEveryMs, publicStates, type State, step } from './runtime-states.ts';
import { createSpawner, explainProcess, viewProcess } from './spawn-generation.ts';
import { createStateWaits } from './state-waits.ts';

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
  const history = createCrashHistory({
    clock,
    health: deps.health,
    save: (health) => attempt('health', () => deps.saveHealth(health)),
  });
  const spawner = createSpawner(deps, {
    state: () => state,
    progressed: armDeadline,
    ready: () => handle('ready'),
    violated: () => handle('violated'),
    crashed: countCrash,
    ended: conclude,
  });
  const { current } = spawner;
  let deadline: Timer | null = null;
  let pinger: Timer | null = null;
  let message: string | null = null;
  let nextRetryAt: string | null = null;
  let stoppedAt: string | null = null;
  let updatedAt = timestamp(clock);
  let closed = false; // the service stops: nothing is started any more
  const { reached, tell: tellWaiting } = createStateWaits(() => state);

  /** What else happens beside a transition never keeps it from happening, nor reaches another runtime. */
  function attempt(what: string, act: () => unknown): void {
    const fail = (error: unknown) => log.error('plugin.fault', { plugin: id, in: what, error: asHostError(error).code });
    try {
      Promise.resolve(act()).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  function handle(event: Command | Fact, ofGeneration: number | null = current.generation): void {
    if (ofGeneration !== current.generation) return; // a fact about a generation that is over
    const cell = step(state, event);
    if (cell === 'drop' || cell === 'keep') return;
    const before = state;
    if (event === 'timeout' && before === 'starting')
      current.record.fault ??= { cause: 'not-ready-in-time', detail: 'no answer to initialize in time' };
    if (event === 'timeout' && before === 'ready') current.record.fault ??= { cause: 'hung', detail: 'no answer to ping' };
    state = cell.enter;
    armDeadline();
    if (before !== state) noteChange(before, event);
    for (const effect of cell.effects) runEffect(effect);
    tellWaiting(); // before the next start: who waits for the end must see it
    if (state === 'stopped' && wantedRunning) handle('start');
  }

  function armDeadline(): void {
    deadline?.cancel();
    const backoffMs = state === 'backoff' ? backoffDelayMs(history.recent(), deps.random()) : undefined;
    nextRetryAt = backoffMs === undefined ? null : new Date(clock.wallMs() + backoffMs).toISOString();
    // While there is no process yet, reading its bytes has limits of its own, and there is nothing to end.
    const delayMs = backoffMs ?? (current.run ? deadlinesMs[state] : undefined);
    const of = current.generation;
    deadline = delayMs === undefined ? null : clock.timer(delayMs, () => attempt('deadline', () => handle('timeout', of)));
  }

  function noteChange(before: State, event: Command | Fact): void {
    updatedAt = timestamp(clock);
    pinger?.cancel();
    pinger = null;
    if (state === 'ready') ping();
    if (state === 'ready' || (before === 'failed' && state === 'starting')) message = null; // what it said is over
    const { generation, record } = current;
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
    attempt('audit', () => deps.append(entry));
  }

  function ping(): void {
    const of = current.generation;
    pinger = clock.timer(pingEveryMs, () => {
      // An unanswered ping is what the deadline waits for.
      attempt('ping', () =>
        current.run?.ping().then(
          () => {
            if (of === current.generation) hear(current.record, clock);
            handle('pong', of);
          },
          () => {},
        ),
      );
      ping();
    });
  }

  const effects: Record<Effect, () => void> = {
    spawn: () => void spawner.spawn(),
    sendShutdown() {
      const of = current.generation;
      const drained = () => handle('drained', of);
      current.run?.shutdown().then(drained, drained);
    },
    revokeGrant() {}, // the state itself is the grant: the broker asks it before every call
    sendTerm: () => (current.run ? current.run.terminate() : spawner.overtake()),
    sendKill: () => (current.run ? current.run.kill() : spawner.overtake()),
    clearCrashes: history.clear,
    reportUnkillable() {
      current.run?.kill(); // the last resort of the runner
      message = 'the process could not be killed';
      log.error('plugin.unkillable', { plugin: id, generation: current.generation, pid: current.run?.pid });
    },
  };

  function runEffect(effect: Effect): void {
    try {
      effects[effect]();
    } catch (error) {
      log.error('plugin.effect', { plugin: id, effect, error: String(error) }); // one runtime's bug stays its own
    }
  }

  /** One action's process crashed, and the generation goes on while the budget of crashes lasts: then it ends for the same cause. */
  function countCrash(exit: Exit): void {
    if (stoppingStates.includes(state)) return;
    const { record, generation } = current;
    const seen = { ...record, stderrTail: [...record.stderrTail] };
    const conclusion = history.conclude(seen, exit, { generation: generation ?? 0, stopping: false, wantedRunning });
    const detail = describeEnd(conclusion.exit);
    if (conclusion.fact !== 'crashed') {
      record.fault ??= { cause: exit.cause, detail: `an action crashed: ${detail}` };
      return handle('violated');
    }
    history.keep(conclusion.health);
    message = `an action crashed: ${detail}`;
    updatedAt = timestamp(clock);
    tell(message);
  }

  function conclude(exit: Exit): void {
    const { record, generation } = current;
    const stopping = stoppingStates.includes(state);
    const conclusion = history.conclude(record, exit, { generation: generation ?? 0, stopping, wantedRunning });
    message = conclusion.fact === 'exhausted' ? `${givenUp(id)}; ${conclusion.message}` : conclusion.message;
    if (!conclusion.expected) record.fault ??= { cause: exit.cause, detail: exit.detail };
    stoppedAt = timestamp(clock);
    history.keep(conclusion.health);
    if (message !== null) tell(message);
    handle(conclusion.fact);
  }

  const tell = (text: string) => attempt('log', () => deps.onOutput(current.generation ?? 0, 'supervisor', text));

  function command(name: Command): void {
    if (closed && name !== 'stop') return;
    wantedRunning = name !== 'stop';
    handle(name);
  }

  async function arm(): Promise<Armed> {
    if (!idleStates.includes(state)) {
      command('stop'); // what is under way was started with what was wanted before
      await reached('stopped', 'failed');
    }
    return start();
  }

  /** An operator's order: crashes that it was given up for are forgotten. Waits until it is ready or has failed to be. */
  async function start(): Promise<Armed> {
    if (history.isBroken()) history.clear();
    command('start');
    if (closed) return { ok: false, cause: 'stopped', message: 'the service is stopping' };
    const end = await reached('ready', 'backoff', 'failed', 'stopped');
    if (end === 'ready') return { ok: true };
    const [last] = history.exits();
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
      current.record.fault = { cause, detail };
      handle('violated');
    },
    /** Forgets the crashes, and starts it where it does not run; waits as `arm` does. */
    reset(): Promise<Armed> {
      history.clear();
      return start();
    },
    /** Shown failed, and not started, because the breaker was open when the service stopped. */
    markBroken(): void {
      state = 'failed';
      message = givenUp(id, ', before the service was restarted');
    },
    invoke(service: string, method: string, payload: unknown, options: InvokeOptions): Promise<unknown> {
      if (state === 'ready' && current.run) {
        const { answered, failed } = listen(current.record, clock, rethrowForCaller(id, `${service}.${method}`, options.timeoutMs));
        return current.run.invoke(service, method, payload, options).then(answered, failed);
      }
      return Promise.reject(notArmed(id, publicStates[state], state === 'failed' && history.isBroken()));
    },
    state: (): State => state,
    view: () => ({
      state: publicStates[state],
      runner: deps.runner.name,
      ...viewProcess(current),
      message,
      restarts: history.recent(),
      next_retry_at: nextRetryAt,
      stopped_at: stoppedAt,
      updated_at: updatedAt,
    }),
    why: () => ({ message, next_retry_at: nextRetryAt, exits: history.exits().map(viewExit), ...explainProcess(current, clock) }),
  };
}

export type Runtime = ReturnType<typeof createRuntime>;
