import type { RouterContext } from '@koa/router';
import { HostError } from '../../protocol/errors.ts';
import type { Log } from '../log.ts';
import type { RepeatedRequests } from '../repeated-requests.ts';
import type { Caller } from './caller.ts';
import { type Conditions, conditionRefused, isAmong, readConditions, requireHeld, tagOfText } from './conditions.ts';
import type { createEventStreams, EventStream } from './event-stream.ts';
import type { Target } from './known-targets.ts';
import { type Answer, performOnce, readKey, type SettleAs } from './repeat.ts';
import { jsonType, problemType, type Reply, setCommonHeaders } from './reply.ts';
import type { Prepared, RawRequest, Route } from './route.ts';

export type State = { requestId: string; caller: Caller; route: string | null; reply: Reply | null };
export type Context = RouterContext<State>;
export type ServeDeps = {
  openEvents: ReturnType<typeof createEventStreams>['open'];
  /** What keeps a change from being done twice; where there is none, nothing can be changed. */
  repeated: RepeatedRequests | null;
  log: Log;
};
/** The body, or the promise of one: JSON has no promises. */
export type Came = { query: Record<string, string>; body: unknown };
type ReadWhatCame = (route: Route, ctx: Context) => Came;
/** What a handler says of its answer, and how its change is noted. */
type Made = { status: number; tag: string | null; settleAs: SettleAs | null };

type Perform = (settleAs: SettleAs | null) => Promise<Answer>;

/** For HEAD, which has no body to stream: closed from the start. */
const noEvents: EventStream = { send: () => {}, end: () => {}, onClose: (run) => run() };

/** A request that was let through: its conditions are asked, what is asked is done, once if it has a key, and answered. */
export async function serveRequest(ctx: Context, target: Target, deps: ServeDeps, readWhatCame: ReadWhatCame): Promise<void> {
  const { route } = target;
  const isChange = route.method !== 'GET';
  const conditions = readConditions(ctx.req.headers);
  if (conditions && isChange && !route.guarded) throw conditionRefused();
  const key = isChange && deps.repeated ? readKey(ctx.req) : null;
  const made: Made = { status: 200, tag: null, settleAs: null };
  const came = readWhatCame(route, ctx);
  if (came.body instanceof Promise) came.body = await came.body;
  target.read ??= route.readParams(target.params);
  const raw = createRequest(ctx, came, made, conditions, deps);
  raw.params = target.read;
  if (key !== null) Object.assign(raw, detached);
  const prepared = route.prepare(raw);

  function answerOf(said: unknown): Answer {
    const text = JSON.stringify(said ?? null);
    const tag = made.tag ?? (route.tagged ? tagOfText(text) : null);
    return { status: made.status, tag, text, isProblem: false, isReplayed: false };
  }
  async function perform(settleAs: SettleAs | null): Promise<Answer> {
    made.settleAs = settleAs;
    return answerOf(await prepared.run());
  }
  const answer = key === null ? answerOf(await prepared.run()) : await once(ctx, key, came.body, deps, prepared, perform);
  if (ctx.respond !== false) ctx.state.reply = replyOf(route, answer, conditions);
}

function once(
  ctx: Context,
  key: string,
  body: unknown,
  { repeated, log }: ServeDeps,
  prepared: Prepared,
  perform: Perform,
): Promise<Answer> {
  const { caller, requestId } = ctx.state;
  if (!repeated || !caller.actor) return perform(null); // neither is without the other: a change needs a token
  const request = JSON.stringify([ctx.method, ctx.url, body ?? null, ctx.get('If-Match'), ctx.get('If-None-Match')]);
  return performOnce({ repeated, log }, { token: caller.actor.id, key, request }, prepared, requestId, perform);
}

/** What may be sent again is carried out to its end when its sender goes away, and has one answer instead of a stream. */
const detached = { accepts: 'application/json', signal: () => new AbortController().signal };

function createRequest(ctx: Context, came: Came, made: Made, conditions: Conditions | null, { openEvents }: ServeDeps): RawRequest {
  return {
    params: null,
    query: came.query,
    body: came.body,
    actor: ctx.state.caller.actor,
    requestId: ctx.state.requestId,
    accepts: ctx.req.headers.accept ?? '',
    signal: () => abortWhenGone(ctx),
    status(status) {
      made.status = status;
    },
    tag(tag) {
      made.tag = tag;
    },
    safeguards: (tagsOf, answerOf) => ({
      guard: conditions ? (seen) => requireHeld(conditions, tagsOf(seen)) : undefined,
      settle: made.settleAs?.(answerOf),
    }),
    async openEvents(last) {
      if (ctx.method === 'HEAD') return noEvents;
      setCommonHeaders(ctx.res, ctx.state.requestId);
      const stream = await openEvents(ctx.req, ctx.res, last);
      ctx.respond = false;
      return stream;
    },
  };
}

/** Of what is only read the conditions are asked here, where its tag is known. */
function replyOf(route: Route, { status, tag, text, isProblem, isReplayed }: Answer, conditions: Conditions | null): Reply {
  const headers: string[] = [];
  if (tag !== null) headers.push('ETag', tag);
  if (isReplayed) headers.push('Idempotent-Replayed', 'true');
  if (route.method === 'GET' && conditions && tag !== null) {
    const { match, noneMatch } = conditions;
    requireHeld({ match, noneMatch: null }, [tag]);
    if (noneMatch !== null && isAmong(noneMatch, [tag])) return { status: 304, headers, text: null };
  }
  headers.push('Content-Type', isProblem ? problemType : jsonType);
  return { status, headers, text };
}

function abortWhenGone(ctx: Context): AbortSignal {
  const controller = new AbortController();
  const gone = () => {
    if (!ctx.res.writableFinished) controller.abort(new HostError('cancelled', 'the client went away'));
  };
  if (ctx.res.closed || ctx.req.socket.destroyed) gone();
  else ctx.res.once('close', gone);
  return controller.signal;
}
