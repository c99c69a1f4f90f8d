import { z } from 'zod';
import type { Actor, Supervisor } from '../plugin-view.ts';
import { actorOf, byId, pluginId } from './fields.ts';
import { declareRoute, nothing, type Route } from './route.ts';

export type CallDeps = { supervisor: Pick<Supervisor, 'call'> };

const called = { service: z.string().min(1).max(64), method: z.string().min(1).max(64), payload: z.unknown().optional() };

/** Calls of a plugin's service methods. The answer is what the plugin answered, as it is, or null. */
export function createCallRoutes({ supervisor }: CallDeps): Route[] {
  type Asked = { id: string; service: string; method: string; payload?: unknown };
  const call = (asked: Asked, request: { actor: Actor | null; requestId: string; signal(): AbortSignal }) =>
    supervisor.call({ id: asked.id, service: asked.service, method: asked.method, payload: asked.payload ?? null }, actorOf(request), {
      signal: request.signal(),
      requestId: request.requestId,
    });

  return [
    declareRoute({
      method: 'POST',
      path: '/api/plugins/call',
      scope: 'plugin:call',
      doc: 'Calls a service method of a plugin. The scopes that the method names are needed too.',
      params: nothing,
      query: nothing,
      body: z.strictObject({ id: pluginId, ...called }),
      subject: ({ body }) => body.id,
      handle: (request) => call(request.body, request),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/plugins/:id/call',
      scope: 'plugin:call',
      doc: 'Calls a service method of this plugin. The scopes that the method names are needed too.',
      params: byId,
      query: nothing,
      body: z.strictObject(called),
      subject: ({ params }) => params.id,
      handle: (request) => call({ id: request.params.id, ...request.body }, request),
    }),
  ];
}
