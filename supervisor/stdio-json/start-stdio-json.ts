import { HostError } from '../../protocol/errors.ts';
import type { Dispatch } from '../broker.ts';
import { causeOfFailedStart } from '../run-record.ts';
import { budgetKey, type Exit, type InvokeOptions, type Launch, type Run, type RunEvents } from '../runner.ts';
import { createActionQueue } from './action-queue.ts';
import { defaultBudget } from './budgets.ts';
import { type Call, openCall } from './open-call.ts';
import type { Crash } from './run-action.ts';
import { type ActionProcess, type ArmedDeps, arm } from './spawn-action.ts';

/**
 * Arms a plugin that has a fresh process for each action: the sandbox is chosen, its files are read and checked, and its cage is planned once.
 * None of its code runs before the first call, and it is ready without a process.
 */
export async function startStdioJson(deps: ArmedDeps, launch: Launch, dispatch: Dispatch, events: RunEvents): Promise<Run> {
  const { id } = launch.plugin;
  const armed = await arm(deps, launch);
  for (const note of armed.notes) events.output('stderr', note);
  const queue = createActionQueue();
  const calls = new Set<Call>();
  const running = new Set<ActionProcess>();
  const counters = { actions: 0, crashed_actions: 0, host_calls: 0, stderr_dropped_bytes: 0 };
  const drained = Promise.withResolvers<object>();
  let phase: 'open' | 'draining' | 'ending' | 'ended' = 'open';

  function lookIdle(): void {
    if (phase === 'open' || calls.size > 0 || running.size > 0) return;
    drained.resolve({});
    if (phase !== 'ending') return;
    phase = 'ended';
    events.exited({ cause: 'stopped', code: null, signal: null, detail: '' });
  }

  /** Ends what runs, the processes that only linger included; what has ended already is told in a moment of its own. */
  function end(): void {
    if (phase !== 'ended') phase = 'ending';
    for (const call of [...calls]) call.giveUp(new HostError('unavailable', `${id} is being stopped`));
    for (const each of running) each.kill();
    queueMicrotask(lookIdle);
  }

  function noteCrash(exit: Exit): void {
    counters.crashed_actions++;
    if (exit.cause === 'sandbox-failed') deps.suspectSandbox();
    events.crashed(exit);
  }

  async function noteEnd(each: ActionProcess, leave: () => void): Promise<void> {
    const { exit, crash } = await each.ended;
    running.delete(each);
    counters.host_calls += each.counters.hostCalls;
    counters.stderr_dropped_bytes += each.counters.droppedBytes;
    leave();
    if (crash !== null && phase === 'open') noteCrash(mergeCrash(exit, crash));
    lookIdle();
  }

  /** In a place of the queue, which is given back when the process has gone: that may be later than the reply. */
  async function act(call: Call, request: string, key: string): Promise<unknown> {
    const leave = await queue.enter(call.signal);
    try {
      const each = await armed.spawn({
        ...{ dispatch, request, signal: call.signal, onOutput: events.output },
        ...{ number: ++counters.actions, budget: launch.budgets[key] ?? defaultBudget },
      });
      running.add(each);
      void noteEnd(each, leave);
      return each.reply;
    } catch (error) {
      leave();
      if (phase === 'open')
        noteCrash({ cause: causeOfFailedStart(error), code: null, signal: null, detail: 'an action could not be started' });
      throw error;
    }
  }

  async function invoke(service: string, method: string, payload: unknown, options: InvokeOptions): Promise<unknown> {
    if (phase !== 'open') throw new HostError('unavailable', `${id} is being stopped`);
    const key = budgetKey(service, method);
    const timeoutMs = Math.min(options.timeoutMs, (launch.budgets[key] ?? defaultBudget).timeout_ms);
    const call = openCall(id, timeoutMs, options.signal, deps.clock);
    calls.add(call);
    try {
      return await act(call, `${JSON.stringify({ action: 'call', payload: { service, method, payload } })}\n`, key);
    } finally {
      call.close();
      calls.delete(call);
      lookIdle();
    }
  }

  queueMicrotask(() => phase === 'open' && events.ready());
  return {
    get pid() {
      return [...running].at(-1)?.pid() ?? null;
    },
    sandbox: armed.level,
    limitsNotEnforced: armed.limitsNotEnforced,
    invoke,
    ping: async () => ({}),
    shutdown() {
      if (phase === 'open') phase = 'draining';
      lookIdle();
      return drained.promise;
    },
    terminate: end,
    kill: end,
    counters: () => ({ ...counters, running: running.size, waiting: queue.waiting() }),
  };
}

/** What the plugin did wrong, with how its process ended; that the memory limit ended it says more. */
const mergeCrash = (exit: Exit, crash: Crash): Exit => (exit.cause === 'out-of-memory' ? exit : { ...exit, ...crash });
