import { asHostError, fromRpcError, HostError } from '../../../protocol/errors.ts';
import { hostMethodNames } from '../../../protocol/host-methods.ts';
import type { MessageId } from '../../../protocol/message.ts';
import type { Dispatch, HostCall, HostHandlers } from '../../broker.ts';
import { type Clock, createRealClock } from '../../clock.ts';
import { type Harness, openHarness } from '../harness/harness.ts';
import type { HarnessEvent } from '../harness/harness-events.ts';
import type { Workshop } from '../harness/workshop.ts';
import { findDifference, type ReplayMode } from './compare-values.ts';
import { createHearing, type Heard } from './hearing.ts';
import { type RecordedOutcome, readScript, type Step } from './read-script.ts';
import type { Session } from './session-file.ts';

/** The first place where the plugin did something else than in the record. */
export type Difference = { line: number; what: string; expected: unknown; got: unknown; path: string | null };
export type ReplayReport = { invocations: { line: number; name: string }[]; difference: Difference | null };
export type ReplayOptions = {
  folder: string;
  session: Session;
  mode: ReplayMode;
  timeoutMs?: number;
  workshop?: Workshop;
  onEvent?(event: HarnessEvent): void;
};

const waitMs = 5_000;

/** Does to the plugin what the record says was done to it, answers it as the record says, and compares what it does. Nothing is asked of the world. */
export async function replaySession(options: ReplayOptions): Promise<ReplayReport> {
  const { config, steps } = readScript(options.session);
  const replay = createReplay(options.mode, createRealClock(), options.timeoutMs ?? waitMs);
  const harness = await openHarness({
    folder: options.folder,
    config,
    ...(options.workshop ? { workshop: options.workshop } : {}),
    ...(options.onEvent ? { onEvent: options.onEvent } : {}),
    replaced: { handlers: replay.handlers, around: replay.around },
  });
  const report: ReplayReport = { invocations: [], difference: null };
  try {
    for (const step of steps) {
      if (step.kind === 'invoke') report.invocations.push({ line: step.line, name: `${step.service}.${step.method}` });
      report.difference = await replay.take(step, harness);
      if (report.difference) return report;
    }
    report.difference = replay.leftOver(steps.at(-1)?.line ?? 1);
    return report;
  } finally {
    replay.release();
    await harness.stop();
  }
}

const isIgnored = (mode: ReplayMode, kind: Step['kind'], method?: string): boolean =>
  mode === 'loose' && (kind === 'progress' || (kind === 'ask' && method === 'log.write'));

function createReplay(mode: ReplayMode, clock: Clock, timeoutMs: number) {
  const hearing = createHearing(clock, timeoutMs);
  const asks = new Map<MessageId, Extract<Heard, { kind: 'ask' }>>(); // by the id in the record
  const outcomes = new WeakMap<AbortSignal, Promise<RecordedOutcome>>();
  const calls = new Map<MessageId, { abort: AbortController; awaited: boolean }>();
  const waiting = new Set<PromiseWithResolvers<RecordedOutcome>>();
  let isOver = false;
  let run = 0; // of the child: what an earlier one still asks, when it is being stopped, is not in the record either

  /** Behind the broker stands the record; it has refused before what it refuses. */
  const recorded = async (_params: unknown, { signal }: HostCall): Promise<unknown> => {
    const outcome = (await outcomes.get(signal)) ?? { error: {} };
    if ('error' in outcome) throw fromRpcError(outcome.error);
    return outcome.result;
  };
  const handlers = Object.fromEntries(hostMethodNames.map((method) => [method, recorded])) as unknown as HostHandlers; // what the record holds was checked when it was made

  const around = (dispatch: Dispatch): Dispatch => {
    const mine = run;
    return async (method, params, context) => {
      if (isOver || mine !== run || isIgnored(mode, 'ask', method)) {
        outcomes.set(context.signal, Promise.resolve({ result: {} }));
        return dispatch(method, params, context);
      }
      const reply = Promise.withResolvers<RecordedOutcome>();
      waiting.add(reply);
      outcomes.set(context.signal, reply.promise);
      const ask: Heard = { kind: 'ask', method, params: params ?? {}, reply: reply.resolve, refusal: null };
      hearing.hear(ask);
      const answer = Promise.resolve(dispatch(method, params, context));
      answer.catch((thrown: unknown) => {
        ask.refusal = asHostError(thrown);
      });
      return answer;
    };
  };

  function invoke({ id, service, method, payload }: Extract<Step, { kind: 'invoke' }>, harness: Harness): void {
    const call = { abort: new AbortController(), awaited: true };
    calls.set(id, call);
    const onProgress = (value: unknown) => void (isIgnored(mode, 'progress') || hearing.hear({ kind: 'progress', id, value }));
    harness.call(service, method, payload, { signal: call.abort.signal, onProgress }).then(
      (result) => call.awaited && hearing.hear({ kind: 'answer', id, outcome: { result } }),
      (thrown: unknown) => call.awaited && hearing.hear({ kind: 'answer', id, outcome: { error: asHostError(thrown) } }),
    );
  }

  async function expect(step: Extract<Step, { kind: 'ask' | 'answer' | 'progress' }>, harness: Harness): Promise<Difference | null> {
    const compare = (heard: Heard) => compareHeard(step, heard, mode, harness);
    const heard = mode === 'strict' ? await hearing.first() : await hearing.find((each) => compare(each) === null);
    if (heard === null)
      return describeSilence(
        step,
        hearing
          .all()
          .map(compare)
          .find((each) => each !== null) ?? null,
        timeoutMs,
      );
    const difference = compare(heard);
    if (difference || heard.kind !== 'ask' || step.kind !== 'ask') return difference;
    asks.set(step.id, heard);
    return null;
  }

  /** Before the record has replied, only the broker can have. */
  function reply(step: Extract<Step, { kind: 'reply' }>): Difference | null {
    const ask = asks.get(step.id);
    ask?.reply(step.outcome);
    if (!ask?.refusal || 'error' in step.outcome) return null;
    const { code, message } = ask.refusal;
    const got = { error: { code, message } };
    return {
      line: step.line,
      what: `${ask.method} was answered, and is refused now`,
      expected: { answer: step.outcome.result },
      got,
      path: null,
    };
  }

  /** What came and is not in the record; an answer is there only where the record, or the run, ended before it. */
  function leftOver(line: number, where: string): Difference | null {
    const extra = hearing.all().find(({ kind }) => kind !== 'answer');
    return extra ? { line, what: `${where} the plugin goes on`, expected: null, got: show(extra), path: null } : null;
  }

  async function start(line: number, harness: Harness): Promise<Difference | null> {
    const extra = leftOver(line, 'where the record starts the plugin anew');
    if (extra) return extra;
    run++;
    for (const call of calls.values()) call.awaited = false;
    await harness.start();
    hearing.forget(); // of the run before: this one has not been asked for anything
    asks.clear();
    calls.clear();
    return null;
  }

  async function expectCrash({ line, ids }: Extract<Step, { kind: 'crash' }>, harness: Harness): Promise<Difference | null> {
    for (const id of ids) {
      const heard = await hearing.find((each) => each.kind === 'answer' && each.id === id);
      const hasCrashed = heard?.kind === 'answer' && 'error' in heard.outcome && describeCode(heard.outcome.error) === 'plugin-crashed';
      if (!hasCrashed)
        return {
          line,
          what: 'in the record the plugin crashed before here',
          expected: { crash: true },
          got: heard && show(heard),
          path: null,
        };
    }
    run++;
    await harness.stop(); // the record says when it is started again
    return null;
  }

  return {
    handlers,
    around,
    async take(step: Step, harness: Harness): Promise<Difference | null> {
      switch (step.kind) {
        case 'start':
          return start(step.line, harness);
        case 'crash':
          return expectCrash(step, harness);
        case 'invoke':
          invoke(step, harness);
          return null;
        case 'cancel': {
          const call = calls.get(step.id);
          if (call) call.awaited = false;
          call?.abort.abort(new HostError('cancelled', 'the record says so'));
          return null;
        }
        case 'reply':
          return reply(step);
        default:
          return isIgnored(mode, step.kind, step.kind === 'ask' ? step.method : '') ? null : expect(step, harness);
      }
    },
    leftOver: (line: number) => leftOver(line, 'after the end of the record'),
    /** Lets go whatever still waits, so that the plugin can be stopped. */
    release(): void {
      isOver = true;
      for (const reply of waiting) reply.resolve({ error: { data: { code: 'cancelled' }, message: 'the replay is over' } });
    },
  };
}

type Expected = Extract<Step, { kind: 'ask' | 'answer' | 'progress' }>;

/** What a person is shown of one side of a comparison. */
function show(item: Expected | Heard): unknown {
  if (item.kind === 'ask') return { ask: item.method, params: item.params };
  if (item.kind === 'progress') return { progress: item.value };
  return 'error' in item.outcome ? { error: describeError(item.outcome.error, 'strict') } : { answer: item.outcome.result };
}

function describeError(error: unknown, mode: ReplayMode): unknown {
  const { code, message } = error instanceof HostError ? error : fromRpcError(error);
  return mode === 'strict' ? { code, message } : { code };
}

const describeCode = (error: unknown): string => (error instanceof HostError ? error : fromRpcError(error)).code;

const comparable = (item: Expected | Heard, mode: ReplayMode): unknown =>
  item.kind === 'answer' && 'error' in item.outcome ? { error: describeError(item.outcome.error, mode) } : show(item);

function compareHeard(step: Expected, heard: Heard, mode: ReplayMode, { redact }: Harness): Difference | null {
  const sameCall = step.kind === 'ask' || heard.kind === 'ask' || step.id === heard.id;
  const found = findDifference(comparable(step, mode), redact(comparable(heard, mode)), mode);
  if (sameCall && !found) return null;
  const same = step.kind === heard.kind;
  const what = same && sameCall ? nouns[step.kind] : 'the plugin does something else first';
  return { line: step.line, what, expected: show(step), got: redact(show(heard)), path: same ? (found?.path ?? null) : null };
}

const nouns = {
  ask: 'the plugin asks something else',
  answer: 'the plugin answers something else',
  progress: 'the plugin reports another progress',
};

const describeSilence = (step: Expected, closest: Difference | null, timeoutMs: number): Difference =>
  closest ?? { line: step.line, what: `nothing came within ${timeoutMs} ms`, expected: show(step), got: null, path: null };
