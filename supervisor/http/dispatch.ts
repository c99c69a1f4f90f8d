import { createRequire } from 'node:module';
import type Koa from 'koa';
import { HostError } from '../../protocol/errors.ts';
import { reservedIds } from '../../protocol/reserved-ids.ts';
import { hasBody, readJsonBody } from './body.ts';
import type { Caller } from './caller.ts';
import { createKnownTargets, type Target } from './known-targets.ts';
import { HttpRefusal } from './problem.ts';
import { noBody, noQuery, notForThisToken, type Route } from './route.ts';
import { type Came, type Context, type ServeDeps, type State, serveRequest } from './serve-request.ts';

// Imported, it imports all of `node:http` in turn; see lean-http.ts.
const { Router } = createRequire(import.meta.url)('@koa/router') as typeof import('@koa/router');

/** Derives the router from the rows. Paths are exact: case counts, and so does a slash at the end. */
export function createDispatch(routes: readonly Route[], deps: ServeDeps): Koa.Middleware<State> {
  const router = new Router<State>({ sensitive: true, strict: true });
  const known = createKnownTargets();

  function serve(ctx: Context, target: Target): Promise<void> {
    const { route } = target;
    ctx.state.route = route.path;
    authorize(route, ctx.state.caller);
    return serveRequest(ctx, target, deps, readWhatCame);
  }

  for (const route of routes) {
    router.register(route.path, [route.method], async (ctx: Context, next) => {
      if (isReserved(ctx)) return next(); // a fixed word of the API stands where this row has an id
      const target: Target = { route, params: ctx.params, read: null };
      const serving = serve(ctx, target);
      if (ctx.url === ctx.path) known.keep(ctx.method, ctx.url, target);
      return serving;
    });
  }
  const routed = router.routes() as Koa.Middleware<State>; // it makes the rest of its context itself
  return (ctx, next) => {
    const target = known.find(ctx.method, ctx.url);
    return target ? serve(ctx as Context, target) : routed(ctx, next); // of the router's context it uses what any has
  };
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

const readWhatCame = (route: Route, ctx: Context): Came => ({ query: readQuery(ctx.querystring), body: readBody(route, ctx) });

function readQuery(text: string): Record<string, string> {
  if (text === '') return noQuery;
  const entries = [...new URLSearchParams(text)];
  const query = Object.fromEntries(entries);
  if (Object.keys(query).length !== entries.length) throw new HostError('invalid-params', 'a query parameter stands twice');
  return query;
}

function readBody(route: Route, ctx: Context): unknown {
  if (route.body !== noBody) return readJsonBody(ctx.req, route.bodyMostBytes);
  if (!hasBody(ctx.req)) return undefined;
  throw new HttpRefusal('invalid-params', 'this request takes no body', {
    headers: { Connection: 'close' },
    details: { hint: 'send it without a body' },
  });
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
