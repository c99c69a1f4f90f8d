import Koa from 'koa';
import helmet from 'koa-helmet';
import { asHostError, HostError } from '../../protocol/errors.ts';
import type { AuditEntry } from '../audit.ts';
import type { Clock } from '../clock.ts';
import { asDiskError } from '../disk-fault.ts';
import { noFailpoints, type Reach } from '../failpoints.ts';
import type { Log } from '../log.ts';
import type { RepeatedRequests } from '../repeated-requests.ts';
import { type Authenticate, createIdentify } from './caller.ts';
import { createRouter, refuseUnrouted } from './dispatch.ts';
import { createEventStreams } from './event-stream.ts';
import { createHostCheck, type Listen } from './host-check.ts';
import { toProblem } from './problem.ts';
import { createRequestIds } from './request-id.ts';
import type { Route } from './route.ts';
import { createRoutes, type RouteDeps } from './routes.ts';
import type { State } from './serve-request.ts';

export type ControlPlaneDeps = {
  tokens: { authenticate: Authenticate };
  clock: Clock;
  log: Log;
  listen: Listen;
  /** Writes the audit row of a failed authorisation, within its rate for one key. */
  deny: (entry: AuditEntry, key: string) => void;
  /** Without it no change can be sent with a key: there is no database to keep it in. */
  repeated?: RepeatedRequests;
  /** Answers what no route answers, to callers with a token; by default there is nothing there. */
  refuseOthers?: () => never;
  reach?: Reach;
};
export type AppDeps = RouteDeps & ControlPlaneDeps;

/** The whole control plane, as the service in its normal state offers it. */
export const createApp = (deps: AppDeps): Koa<State> => createControlPlane(deps, createRoutes(deps));

/** The control plane over these routes. `app.emit('stopping')` ends its event streams, and each connection with its next answer; `cutting` comes before what is left is cut. */
export function createControlPlane(deps: ControlPlaneDeps, routes: readonly Route[]): Koa<State> {
  const app = new Koa<State>();
  const streams = createEventStreams(deps.clock);
  const nextRequestId = createRequestIds();
  const { reach = noFailpoints.reach } = deps;
  let stopping = false;
  app.once('stopping', () => {
    stopping = true;
    streams.closeAll();
  });
  app.once('cutting', streams.cutAll);
  // What Koa itself reports: a connection that broke while the answer was being written.
  app.on('error', (error: unknown) => deps.log.debug('http.broken', { message: error instanceof Error ? error.message : 'unknown' }));

  app.use(async (ctx, next) => {
    const address = ctx.req.socket.remoteAddress ?? 'unknown';
    ctx.state = { requestId: nextRequestId(), caller: { actor: null, presented: false, address }, route: null };
    ctx.set('X-Lattice-Request-ID', ctx.state.requestId);
    ctx.set('Cache-Control', 'no-store');
    try {
      await next();
    } catch (thrown) {
      answerProblem(ctx, thrown, deps);
    }
    if (stopping && !ctx.headerSent) ctx.set('Connection', 'close');
    ctx.res.once('finish', () => reach('reply.sent'));
    reach('reply.ready');
  });
  app.use(createSecurityHeaders());
  app.use(createGate(deps, new Set(routes.filter((route) => route.scope === null).map((route) => route.path))));
  app.use(createRouter(routes, { openEvents: streams.open, repeated: deps.repeated ?? null, log: deps.log }).routes());
  const { refuseOthers } = deps;
  app.use(refuseOthers ? (ctx) => (ctx.state.caller.actor === null ? refuseUnrouted(ctx) : refuseOthers()) : refuseUnrouted);
  return app;
}

/** What comes before any route: a target and a Host that are ours, and who asks, within the caller's rate. */
function createGate(deps: ControlPlaneDeps, probes: ReadonlySet<string>): Koa.Middleware<State> {
  const identify = createIdentify({ authenticate: deps.tokens.authenticate, clock: deps.clock });
  const checkHost = createHostCheck(deps.listen);
  return async (ctx, next) => {
    const { socket, headers, url = '' } = ctx.req;
    // `http://elsewhere/api`, and escapes that decode to nothing, would be read differently by others than by us.
    if (!url.startsWith('/') || !isDecodable(url))
      throw new HostError('invalid-params', 'the request target is not a path of this service');
    checkHost(headers.host, socket.localPort ?? 0);
    ctx.state.caller = await identify(headers.authorization, socket.remoteAddress, probes.has(ctx.path));
    return next();
  };
}

function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true;
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    return false;
  }
}

/** The answers are data for programs: what a browser might make of them is forbidden. What only concerns pages is left out; TLS, and so HSTS, is a reverse proxy's. */
function createSecurityHeaders(): Koa.Middleware<State> {
  const known: [name: string, value: string][] = []; // the same on each answer, so they are worked out once
  const res = { setHeader: (name: string, value: string) => void known.push([name, value]), removeHeader() {} };
  const secure = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  void secure({ req: {}, res } as unknown as Koa.Context, async () => {}); // all that it uses of a context
  return (ctx, next) => {
    for (const [name, value] of known) ctx.res.setHeader(name, value);
    return next();
  };
}

function answerProblem(ctx: Koa.ParameterizedContext<State>, thrown: unknown, deps: Pick<ControlPlaneDeps, 'log' | 'deny'>): void {
  const error = asHostError(asDiskError(thrown));
  const { requestId, caller, route } = ctx.state;
  if (error.code === 'internal') {
    const cause = error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : String(error.cause ?? error.stack);
    deps.log.error('http.failed', { request_id: requestId, method: ctx.method, route, cause });
  }
  if (error.code === 'unauthenticated' || error.code === 'forbidden') {
    const summary = JSON.stringify({ method: ctx.method, route, address: caller.address });
    const rule = typeof error.details.rule === 'string' ? error.details.rule : null;
    deps.deny(
      { kind: 'api.denied', actor: caller.actor?.id ?? null, verdict: 'deny', code: error.code, rule, requestId, summary },
      caller.address,
    );
  }
  if (ctx.headerSent || ctx.respond === false) return void ctx.res.destroy(); // too late for an answer
  const problem = toProblem(error, requestId);
  ctx.status = problem.status;
  ctx.set(problem.headers);
  ctx.set('Content-Type', 'application/problem+json');
  ctx.body = JSON.stringify(problem.body);
}
