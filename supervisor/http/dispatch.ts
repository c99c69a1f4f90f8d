import Router, { type RouterContext } from '@koa/router';
import { HostError } from '../../protocol/errors.ts';
import { reservedIds } from '../../protocol/reserved-ids.ts';
import { hasBody, readJsonBody } from './body.ts';
import type { Caller } from './caller.ts';
import { type Conditions, conditionRefused, isAmong, readConditions, requireHeld, tagOfText } from './conditions.ts';
import type { createEventStreams, EventStream } from './event-stream.ts';
import { HttpRefusal } from './problem.ts';
import { noBody, notForThisToken, type Route } from './route.ts';

export type State = { requestId: string; caller: Caller; route: string | null };
type Context = RouterContext<State>;
type OpenEvents = ReturnType<typeof createEventStreams>['open'];

/** For HEAD, which has no body to stream: closed from the start. */
const noEvents: EventStream = { send: () => {}, end: () => {}, onClose: (run) => run(), outlastStop: () => {} };

/** Derives the router from the rows. Paths are exact: case counts, and so does a slash at the end. */
export function createRouter(routes: readonly Route[], openEvents: OpenEvents): Router<State> {
  const router = new Router<State>({ sensitive: true, strict: true });
  for (const route of routes) {
    router.register(route.path, [route.method], async (ctx: Context, next) => {
      if (isReserved(ctx)) return next(); // a fixed word of the API stands where this row has an id
      ctx.state.route = route.path;
      authorize(route, ctx.state.caller);
      const conditions = readConditions(ctx.headers);
      if (conditions && route.method !== 'GET' && !route.guarded) throw conditionRefused();
      let tag: string | null = null;
      const result = await route.run({
        params: ctx.params,
        query: readQuery(ctx.querystring),
        body: await readBody(route, ctx),
        actor: ctx.state.caller.actor,
        requestId: ctx.state.requestId,
        accepts: ctx.get('Accept'),
        signal: () => abortWhenGone(ctx),
        status: (status) => {
          ctx.status = status;
        },
        tag: (text) => {
          tag = text;
        },
        safeguards: (tagsOf) => (conditions ? { guard: (seen) => requireHeld(conditions, tagsOf(seen)) } : {}),
        openEvents: async () => {
          if (ctx.method === 'HEAD') return noEvents;
          const stream = await openEvents(ctx.req, ctx.res);
          ctx.respond = false;
          return stream;
        },
      });
      if (ctx.respond === false) return;
      answer(ctx, route, JSON.stringify(result ?? null), tag, conditions);
    });
  }
  return router;
}

/** Of what is only read the conditions are asked here, where its tag is known. */
function answer(ctx: Context, route: Route, text: string, given: string | null, conditions: Conditions | null): void {
  const tag = given ?? (route.tagged ? tagOfText(text) : null);
  if (tag !== null) ctx.set('ETag', tag);
  if (route.method === 'GET' && conditions && tag !== null) {
    const { match, noneMatch } = conditions;
    requireHeld({ match, noneMatch: null }, [tag]);
    if (noneMatch !== null && isAmong(noneMatch, [tag])) {
      ctx.status = 304;
      return;
    }
  }
  ctx.set('Content-Type', 'application/json; charset=utf-8');
  ctx.body = text; // sets the status to 200 unless the route has set another
}

const isReserved = (ctx: Context): boolean => ctx.params.id !== undefined && reservedIds.has(ctx.params.id);

function authorize(route: Route, caller: Caller): void {
  if (route.scope === null) return;
  if (!caller.actor) {
    const challenge = caller.presented ? 'Bearer realm="lattice", error="invalid_token"' : 'Bearer realm="lattice"';
    throw new HttpRefusal('unauthenticated', caller.presented ? 'the token is not valid' : 'this needs a token', {
      headers: { 'WWW-Authenticate': challenge },
      details: {
        hint: 'send a valid token in the header "Authorization: Bearer <token>"; the first start writes one to admin.token in the data directory',
      },
    });
  }
  if (!caller.actor.scopes.includes(route.scope)) {
    throw new HttpRefusal('forbidden', `this token does not have the scope ${route.scope}`, {
      headers: { 'WWW-Authenticate': `Bearer realm="lattice", error="insufficient_scope", scope="${route.scope}"` },
      details: {
        rule: 'scope-missing',
        scope: route.scope,
        hint: `use a token with it, made by: lattice token create --name <name> --scope ${route.scope}`,
      },
    });
  }
  if (caller.actor.plugin !== null && !route.forPluginTokens) throw notForThisToken(caller.actor.plugin);
}

function readQuery(text: string): Record<string, string> {
  if (text === '') return {};
  const entries = [...new URLSearchParams(text)];
  const query = Object.fromEntries(entries);
  if (Object.keys(query).length !== entries.length) throw new HostError('invalid-params', 'a query parameter stands twice');
  return query;
}

function readBody(route: Route, ctx: Context): Promise<unknown> | undefined {
  if (route.body !== noBody) return readJsonBody(ctx.req, route.bodyMostBytes);
  if (!hasBody(ctx.req)) return undefined;
  throw new HttpRefusal('invalid-params', 'this request takes no body', {
    headers: { Connection: 'close' },
    details: { hint: 'send it without a body' },
  });
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

/** The path is unknown, or known with other methods only. */
export function refuseUnrouted(ctx: Context): never {
  const matched = (ctx.matched ?? []).filter((layer) => !isReservedPath(ctx.path, String(layer.path)));
  const allowed = [...new Set(matched.flatMap((layer) => layer.methods))].sort().join(', ');
  if (allowed === '')
    throw new HostError('not-found', 'there is nothing at this path', {
      hint: 'check the path; ids, buckets and keys are percent-encoded',
    });
  throw new HttpRefusal('method-not-found', `this path answers ${allowed}`, {
    status: 405,
    publicCode: 'method_not_allowed',
    headers: { Allow: allowed },
    details: { allowed },
  });
}

function isReservedPath(path: string, pattern: string): boolean {
  const at = pattern.split('/').indexOf(':id');
  return at !== -1 && reservedIds.has(path.split('/')[at] ?? '');
}
