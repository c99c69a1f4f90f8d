import type { Writable } from 'node:stream';
import { asHostError, HostError } from '../../protocol/errors.ts';
import type { InvokeBudget } from '../../protocol/manifest-form.ts';
import { readWithin } from '../../protocol/reading.ts';
import { childShare, createWorkMeter } from '../../protocol/work.ts';
import type { Dispatch } from '../broker.ts';
import type { Clock, Timer } from '../clock.ts';
import { createOutputLines } from '../output-lines.ts';
import type { Cause } from '../restart-policy.ts';
import type { Exit } from '../runner.ts';
import type { ContainedChild } from '../sandbox/contained-child.ts';
import { waitForEnd, waitForLastWords } from '../sandbox/last-words.ts';
import type { SpawnedChild } from '../sandbox/spawn-plan.ts';
import { actionLimits } from './budgets.ts';
import { createLineCutter, type HostCallLine, type ReplyLine, readLine } from './read-line.ts';
import { translateCall } from './translate-call.ts';

export type ActionDeps = {
  pluginId: string;
  child: SpawnedChild;
  contained: ContainedChild;
  responses: Writable;
  request: string; // the one line that it reads from stdin
  budget: InvokeBudget;
  /** Aborted with a HostError when the caller has gone, its time is over or the plugin is stopped. */
  signal: AbortSignal;
  dispatch: Dispatch;
  clock: Clock;
  onOutput(source: 'stderr' | 'stray', text: string): void;
};

export type Crash = { cause: Cause; detail: string };
/** `ended` comes when nothing of it runs any more; `crash` is what counts against the plugin. The process may outlive the reply for a moment. */
export type Action = {
  reply: Promise<unknown>;
  ended: Promise<{ exit: Exit; crash: Crash | null }>;
  counters: { hostCalls: number; droppedBytes: number };
};

const stderrRate = { lineBytes: 8192, bytesPerSecond: 1024 * 1024, linesPerSecond: 1000 } as const; // its bytes have a budget besides

/** One process for one action: the request goes in, host calls are answered one after the other, and the first other line is the reply. */
export function runAction(deps: ActionDeps): Action {
  const { pluginId, child, contained, responses, clock, signal } = deps;
  const counters = { hostCalls: 0, droppedBytes: 0 };
  const reply = Promise.withResolvers<unknown>();
  reply.promise.catch(() => {}); // the caller may have gone
  const over = new AbortController(); // no reply will be taken any more, so nobody waits for an answer
  let linger: Timer | null = null;
  const state: { outcome: 'none' | 'reply' | 'failed'; crash: Crash | null } = { outcome: 'none', crash: null };

  /** Whatever comes first decides. What is not the plugin's fault is no crash. */
  function fail(error: HostError, crash: Crash | null): void {
    if (state.outcome !== 'none') return;
    Object.assign(state, { outcome: 'failed', crash });
    over.abort(error);
    responses.destroy();
    child.stdout.destroy();
    contained.kill();
    reply.reject(error);
  }

  function violate(rule: string, detail: string): void {
    const error = new HostError('plugin-crashed', `${pluginId} broke the protocol: ${rule}: ${detail}`, { rule, hint: seeWhy(pluginId) });
    fail(error, { cause: 'protocol-violation', detail: `${rule}: ${detail}` });
  }

  function giveUp(): void {
    const error = asHostError(signal.reason);
    fail(error, error.code === 'deadline-exceeded' ? { cause: 'hung', detail: error.message } : null);
  }

  function finish(line: ReplyLine): void {
    if (state.outcome !== 'none') return;
    state.outcome = 'reply';
    signal.removeEventListener('abort', giveUp);
    linger = clock.timer(actionLimits.lingerMs, contained.kill);
    responses.end();
    if (line.ok) reply.resolve(line.result);
    else reply.reject(reportedFailure(pluginId, line.message));
  }

  async function take(bytes: Buffer): Promise<void> {
    const line = readLine(bytes);
    if (line.kind === 'violation') violate(line.rule, line.detail);
    else if (line.kind === 'reply') finish(line);
    else if (line.kind === 'host-call' && ++counters.hostCalls > deps.budget.host_calls)
      violate('too-many-host-calls', `more than ${deps.budget.host_calls} host calls in one action`);
    // A plugin that does not read what it asked for waits for itself: nothing more is taken from it until its pipe has the answer.
    else if (line.kind === 'host-call') await write(responses, await answerCall(line, deps.dispatch, over.signal));
  }

  async function readStdout(): Promise<void> {
    const cutter = createLineCutter();
    let bytes = 0;
    let late = 0;
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (state.outcome === 'none' && bytes > deps.budget.stdout_bytes)
        return violate('stdout-over-budget', `more than ${deps.budget.stdout_bytes} bytes on stdout`);
      if (state.outcome !== 'none') late += chunk.length;
      else
        for (const line of cutter.push(chunk)) {
          if (state.outcome === 'none') await take(line);
          else late += line.length + 1;
        }
    }
    const rest = cutter.rest();
    if (state.outcome === 'none') await take(rest);
    else late += rest.length;
    if (late > 0) deps.onOutput('stray', `(${late} bytes printed to stdout after the reply were dropped)`);
  }

  const stderr = createBudgetedLines(deps);
  readWithin({ input: child.stderr, meter: createWorkMeter(clock, childShare), timers: clock, pieces: stderr });
  const stderrEnded = waitForEnd(child.stderr);
  const stdoutRead = readStdout().catch(() => {}); // destroyed by us: the outcome is known
  child.stdin.on('error', () => {}); // it need not read what it was sent
  responses.on('error', () => {});
  child.stdin.end(deps.request);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();

  const ended = Promise.withResolvers<{ exit: Exit; crash: Crash | null }>();
  contained.onExit(async (exit) => {
    linger?.cancel();
    await waitForLastWords(stderrEnded, clock);
    await stdoutRead; // its end came with the process's; an answer that a line still waits for has the caller's time
    fail(new HostError('plugin-crashed', `${pluginId} ended before it replied`, { hint: seeWhy(pluginId) }), describeCrash(exit));
    signal.removeEventListener('abort', giveUp);
    responses.destroy();
    counters.droppedBytes = stderr.end();
    if (state.outcome === 'reply' && exit.code !== null && exit.code !== 0)
      deps.onOutput('stderr', `(it ended with exit code ${exit.code} after its reply)`);
    ended.resolve({ exit, crash: state.crash });
  });
  return { reply: reply.promise, ended: ended.promise, counters };
}

/** Always an answer: a refusal is one, and so is that nobody waits any more. */
async function answerCall(call: HostCallLine, dispatch: Dispatch, signal: AbortSignal): Promise<string> {
  const { method, params, toResult } = translateCall(call.method, call.params);
  const abandoned = new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  const answer = await Promise.race([dispatch(method, params, { signal }), abandoned]).then(
    (result) => ({ ok: true, result: toResult(result) }),
    (thrown: unknown) => ({ ok: false, error: describe(asHostError(thrown)) }),
  );
  return `${JSON.stringify({ host_response: { id: call.id, ...answer } })}\n`;
}

const reportedFailure = (id: string, message: string): HostError =>
  new HostError('plugin-crashed', `${id} reported a failure${message === '' ? '' : `: ${message}`}`, { rule: 'reported-failure' });
const seeWhy = (id: string): string => `see why: lattice plugins why ${id}`;

/** The codes of our own runner mean nothing here: a plugin of this protocol is free in what it exits with. */
function describeCrash(exit: Exit): Crash {
  if (exit.code === 0) return { cause: 'protocol-violation', detail: 'no-reply: it ended without a reply' };
  const isExit = exit.cause === 'configuration' || exit.cause === 'artifact-refused' || exit.cause === 'load-failed';
  return { cause: isExit ? 'exit-code' : exit.cause, detail: exit.detail || 'it ended without a reply' };
}

/** The broker's word, what it says, and the way out: this protocol has one text for all three. */
function describe({ code, message, details }: HostError): string {
  const hint = typeof details.hint === 'string' ? `; ${details.hint}` : '';
  return `${code}: ${message}${hint}`;
}

/** Resolves when the pipe has taken the bytes, or will never take them. */
const write = (stream: Writable, text: string): Promise<void> =>
  new Promise((resolve) => {
    if (stream.destroyed || stream.writableEnded) return resolve();
    stream.once('close', resolve);
    stream.write(text, () => {
      stream.off('close', resolve);
      resolve();
    });
  });

/** Stderr is the log. What is over its budget is dropped, as the public server does, and the log says so by the rule's name. */
function createBudgetedLines({ budget, clock, onOutput }: ActionDeps) {
  const lines = createOutputLines({ ...stderrRate, monotonicMs: clock.monotonicMs, onLine: (text) => onOutput('stderr', text) });
  let bytes = 0;
  return {
    push(chunk: Buffer): void {
      const room = Math.max(0, budget.stderr_bytes - bytes);
      bytes += chunk.length;
      if (room > 0) lines.push(chunk.subarray(0, room));
    },
    next: lines.next,
    end(): number {
      lines.end();
      const over = Math.max(0, bytes - budget.stderr_bytes);
      if (over > 0) onOutput('stderr', `(stderr-over-budget: ${over} bytes over the ${budget.stderr_bytes} of one action were dropped)`);
      if (lines.droppedBytes() > 0) onOutput('stderr', `(${lines.droppedBytes()} bytes printed to stderr were dropped: over the rate)`);
      return over + lines.droppedBytes();
    },
  };
}
