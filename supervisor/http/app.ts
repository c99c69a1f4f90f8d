import Koa from 'koa';
import { asHostError, HostError, PluginFault } from '../../protocol/errors.ts';
import type { AuditEntry } from '../audit.ts';
import type { Clock } from '../clock.ts';
import { asDiskError } from '../disk-fault.ts';
import { noFailpoints, type Reach } from '../failpoints.ts';
import type { Log } from '../log.ts';
import type { RepeatedRequests } from '../repeated-requests.ts';
import { type Authenticate, type Caller, createIdentify } from './caller.ts';
import { createDispatch, refuseUnrouted } from './dispatch.ts';
import { createEventStreams } from './event-stream.ts';
import { createHostCheck, type Listen } from './host-check.ts';
import { toProblem } from './problem.ts';
import { problemType, type Reply, writeReply } from './reply.ts';
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

/** The control plane over these routes. `app.emit('stopping')` ends its event streams, and each connection with its next answer; `cutting` comes before what is left is cut. It emits `authenticated` with the connection of each request that has a valid token; `crowded` says that one without had to go. */
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
  // How often is for the log to bound, as with every error that repeats.
  app.on('crowded', (address: string | undefined) =>
    deps.log.error('http.crowded', { address: address ?? null, detail: 'all connections were taken: the oldest without a token went' }),
  );
  // What Koa itself reports: a connection that broke while the answer was being written.
  app.on('error', (error: unknown) => deps.log.debug('http.broken', { message: error instanceof Error ? error.message : 'unknown' }));

  const identify = createGate(deps, new Set(routes.filter((route) => route.scope === null).map((route) => route.path)));

  // One function for what every request passes: each further one costs a promise and a turn of its own.
  app.use(async (ctx, next) => {
    const address = ctx.req.socket.remoteAddress ?? 'unknown';
    const state: State = { requestId: nextRequestId(), caller: { actor: null, presented: false, address }, route: null, reply: null };
    ctx.state = state;
    try {
      state.caller = await identify(ctx);
      if (state.caller.actor) app.emit('authenticated', ctx.req.socket);
      await next();
    } catch (thrown) {
      state.reply = answerProblem(ctx, thrown, deps);
    }
    if (reach !== noFailpoints.reach) ctx.res.once('finish', () => reach('reply.sent'));
    reach('reply.ready');
    if (state.reply) writeReply(ctx, state.requestId, state.reply, stopping);
  });
  app.use(createDispatch(routes, { openEvents: streams.open, repeated: deps.repeated ?? null, log: deps.log }));
  const { refuseOthers } = deps;
  app.use(refuseOthers ? (ctx) => (ctx.state.caller.actor === null ? refuseUnrouted(ctx) : refuseOthers()) : refuseUnrouted);
  return app;
}

/** What comes before any route: a target and a Host that are ours, and who asks, within the caller's rate. */
function createGate(deps: ControlPlaneDeps, probes: ReadonlySet<string>): (ctx: Koa.ParameterizedContext<State>) => Promise<Caller> {
  const identify = createIdentify({ authenticate: deps.tokens.authenticate, clock: deps.clock });
  const checkHost = createHostCheck(deps.listen);
  return (ctx) => {
    const { socket, headers, url = '' } = ctx.req;
    // `http://elsewhere/api`, and escapes that decode to nothing, would be read differently by others than by us.
    if (!url.startsWith('/') || !isDecodable(url))
      throw new HostError('invalid-params', 'the request target is not a path of this service');
    checkHost(headers.host, socket.localPort ?? 0);
    return identify(headers.authorization, socket.remoteAddress, probes.has(ctx.path));
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

/** Null: it is too late for an answer, and the connection is cut. */
function answerProblem(ctx: Koa.ParameterizedContext<State>, thrown: unknown, deps: Pick<ControlPlaneDeps, 'log' | 'deny'>): Reply | null {
  const error = asHostError(asDiskError(thrown));
  const { requestId, caller, route } = ctx.state;
  if (error.code === 'internal' && !(error instanceof PluginFault)) {
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
  if (ctx.headerSent || ctx.respond === false) {
    ctx.res.destroy();
    return null;
  }
  const { status, headers, body } = toProblem(error, requestId);
  return { status, headers: ['Content-Type', problemType, ...Object.entries(headers).flat()], text: JSON.stringify(body) };
}
