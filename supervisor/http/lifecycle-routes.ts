import { z } from 'zod';
import type { PluginView, Supervisor } from '../plugin-view.ts';
import { contentTag } from './conditions.ts';
import { actorOf, bundleSha256, egressHosts, pluginId } from './fields.ts';
import { declareRoute, noBody, nothing, type Route } from './route.ts';

const status = z.preprocess(
  (value) => (typeof value === 'string' ? value.trim() : value),
  z.enum(['verified', 'installed', 'active', 'disabled']),
);

/** The lifecycle endpoint of the public server: a bare array, and one such object for a change. */
export function createLifecycleRoutes({ supervisor }: { supervisor: Pick<Supervisor, 'list' | 'show' | 'setStatus'> }): Route[] {
  const list = () => supervisor.list().map(withoutUnhappened);
  return [
    declareRoute({
      method: 'GET',
      path: '/api/plugins/lifecycle',
      scope: 'plugin:admin',
      doc: 'Lists every plugin with its status and its runtime, sorted by id, also those whose bundle is gone.',
      params: nothing,
      query: nothing,
      body: noBody,
      tagged: true,
      handle: list,
    }),
    declareRoute({
      method: 'POST',
      path: '/api/plugins/lifecycle',
      scope: 'plugin:admin',
      doc: 'Changes the status of a plugin, and waits until it is so. With `bundle_sha256` only if that is still what would be accepted or armed. `egress`: the hosts that a plugin to be installed may reach, where its manifest (v1, v2) has no field for them.',
      params: nothing,
      query: nothing,
      body: z.strictObject({ id: pluginId, status, bundle_sha256: bundleSha256.optional(), egress: egressHosts.optional() }),
      guarded: true,
      answerAgain: ({ body }) => list().find((view) => view.id === body.id) ?? null,
      handle: async (request) => {
        const { id, status, bundle_sha256, egress } = request.body;
        const wanted = {
          id,
          status,
          ...(bundle_sha256 === undefined ? {} : { bundleSha256: bundle_sha256 }),
          ...(egress === undefined ? {} : { egress }),
        };
        // Whoever saw the whole list saw the plugin as well.
        const safeguards = request.safeguards(() => [contentTag(supervisor.show(id)), contentTag(list())]);
        return withoutUnhappened(await supervisor.setStatus(wanted, actorOf(request), safeguards));
      },
    }),
  ];
}

const dropNull = <T extends object>(value: T, drops: (name: string) => boolean) =>
  Object.fromEntries(Object.entries(value).filter(([name, field]) => field !== null || !drops(name)));

/** Clients of the public server read a present time as a date: one that has not happened is left out, like every optional text. */
export function withoutUnhappened(view: PluginView): Record<string, unknown> {
  const runtime = view.runtime && dropNull(view.runtime, (name) => name.endsWith('_at') || name === 'message');
  return dropNull({ ...view, runtime }, (name) => name.endsWith('_at') || name === 'runtime');
}
