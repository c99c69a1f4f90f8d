import { z } from 'zod';
import type { PluginBrief, PluginView, Supervisor } from '../plugin-view.ts';
import type { Safeguards } from '../safeguards.ts';
import { contentTag } from './conditions.ts';
import { actorOf, byId, egressHosts } from './fields.ts';
import { declareRoute, emptyBody, noBody, nothing, type Route, type RouteRequest } from './route.ts';

export type PluginDeps = { supervisor: Supervisor };

/** One line of a list. The first eight fields are those of the public server. */
const brief = (view: PluginView): PluginBrief => ({
  id: view.id,
  name: view.name,
  type: view.type,
  version: view.version,
  publisher: view.publisher,
  capabilities: view.capabilities,
  status: view.status,
  active: view.status === 'active',
  unsigned: view.unsigned,
  form: view.form,
  wire: view.wire,
  available: view.available,
  refused: view.refused,
  upgrade: view.upgrade && { version: view.upgrade.version, change: view.upgrade.change, risk: view.upgrade.risk.level },
  transferred_to: view.transferred_to,
  state: view.runtime?.state ?? null,
  runner: view.runtime?.runner ?? null,
  sandbox: view.runtime?.sandbox ?? null,
  message: view.runtime?.message ?? null,
  other_runtimes: view.other_runtimes,
});

type OfPlugin = Pick<RouteRequest<{ id: string }, unknown, unknown>, 'params' | 'safeguards'>;

/** The conditions of a change of one plugin speak of what `GET /api/plugins/:id` shows. */
export const guardPlugin = ({ params, safeguards }: OfPlugin, supervisor: Pick<Supervisor, 'show'>): Safeguards =>
  safeguards(() => [contentTag(supervisor.show(params.id))]);

/** What a change of one plugin answers, as it is now. */
export const viewNow = (supervisor: Pick<Supervisor, 'list'>, id: string): PluginView | null =>
  supervisor.list().find((view) => view.id === id) ?? null;

/** Everything about one plugin but its calls and its log. */
export function createPluginRoutes({ supervisor }: PluginDeps): Route[] {
  const get = { method: 'GET', query: nothing, body: noBody } as const;
  return [
    declareRoute({
      ...get,
      path: '/api/plugins',
      scope: 'audit:read',
      doc: 'Lists the plugins in brief: what each is, how it is, and whether an upgrade is offered.',
      params: nothing,
      tagged: true,
      handle: () => supervisor.list().map(brief),
    }),
    declareRoute({
      ...get,
      path: '/api/plugins/refused',
      scope: 'audit:read',
      doc: 'Lists the folders whose bundle was refused, with the reason.',
      params: nothing,
      tagged: true,
      handle: () => supervisor.refused(),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/plugins/rescan',
      scope: 'plugin:admin',
      doc: 'Looks for bundles again, and waits for the result.',
      params: nothing,
      query: nothing,
      body: emptyBody,
      handle: (request) => supervisor.rescan(actorOf(request)),
    }),
    declareRoute({
      ...get,
      path: '/api/plugins/:id',
      scope: 'audit:read',
      doc: 'Shows one plugin with all that its manifest declares.',
      params: byId,
      tagged: true,
      handle: (request) => supervisor.show(request.params.id),
    }),
    declareRoute({
      ...get,
      path: '/api/plugins/:id/why',
      scope: 'plugin:logs',
      doc: 'Tells why the plugin is in its state: last exits, restarts, counters.',
      params: byId,
      subject: ({ params }) => params.id,
      handle: (request) => supervisor.why(request.params.id),
    }),
    declareRoute({
      ...get,
      path: '/api/plugins/:id/config',
      scope: 'plugin:admin',
      doc: 'Shows the configuration that the plugin is given at its start.',
      params: byId,
      tagged: true,
      handle: (request) => supervisor.config(request.params.id),
    }),
    declareRoute({
      method: 'PUT',
      path: '/api/plugins/:id/config',
      scope: 'plugin:admin',
      doc: 'Replaces the configuration; an active plugin is restarted with it.',
      params: byId,
      query: nothing,
      body: z.record(z.string().min(1).max(128), z.unknown()),
      tagged: true,
      guarded: true,
      secret: true,
      answerAgain: ({ body }) => body,
      handle: (request) => {
        const safeguards = request.safeguards(() => [contentTag(supervisor.config(request.params.id))]);
        return supervisor.setConfig(request.params.id, request.body, actorOf(request), safeguards);
      },
    }),
    declareRoute({
      method: 'PUT',
      path: '/api/plugins/:id/egress',
      scope: 'plugin:admin',
      doc: 'Replaces the hosts that a plugin may reach whose manifest (v1, v2) has no field for them; an active plugin is restarted.',
      params: byId,
      query: nothing,
      body: z.strictObject({ egress: egressHosts }),
      guarded: true,
      answerAgain: ({ params }) => viewNow(supervisor, params.id),
      handle: (request) => supervisor.setEgress(request.params.id, request.body.egress, actorOf(request), guardPlugin(request, supervisor)),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/plugins/:id/reset',
      scope: 'plugin:admin',
      doc: 'Forgets the crashes of a plugin that was given up, starts it again if it is to be active, and waits until it is ready.',
      params: byId,
      query: nothing,
      body: emptyBody,
      guarded: true,
      handle: (request) => supervisor.reset(request.params.id, actorOf(request), guardPlugin(request, supervisor)),
    }),
  ];
}
