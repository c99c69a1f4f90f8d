import { z } from 'zod';
import type { Supervisor } from '../plugin-view.ts';
import { actorOf, bundleSha256, byId } from './fields.ts';
import { guardPlugin, viewNow } from './plugin-routes.ts';
import { declareRoute, nothing, type Route } from './route.ts';

export type UpgradeDeps = { supervisor: Pick<Supervisor, 'list' | 'show' | 'upgrade' | 'rollback' | 'transfer'> };

/** Exchanges of one bundle for another, and of one publisher for another. */
export function createUpgradeRoutes({ supervisor }: UpgradeDeps): Route[] {
  const exchange = {
    method: 'POST',
    scope: 'plugin:admin',
    params: byId,
    query: nothing,
    body: z.strictObject({ bundle_sha256: bundleSha256.optional() }).optional(),
    guarded: true,
    answerAgain: ({ params }: { params: { id: string } }) => viewNow(supervisor, params.id),
  } as const;
  const asked = ({ params, body }: { params: { id: string }; body: { bundle_sha256?: string | undefined } | undefined }) => ({
    id: params.id,
    ...(body?.bundle_sha256 === undefined ? {} : { bundleSha256: body.bundle_sha256 }),
  });
  return [
    declareRoute({
      ...exchange,
      path: '/api/plugins/:id/upgrade',
      doc: 'Accepts the bundle that is on disk in place of the accepted one, which serves until the new one is ready. With `bundle_sha256` only if it is still that one.',
      handle: (request) => supervisor.upgrade(asked(request), actorOf(request), guardPlugin(request, supervisor)),
    }),
    declareRoute({
      ...exchange,
      path: '/api/plugins/:id/rollback',
      doc: 'Accepts again the bundle that the last upgrade replaced; what plugins stored since stays. With `bundle_sha256` only if it is still that one.',
      handle: (request) => supervisor.rollback(asked(request), actorOf(request), guardPlugin(request, supervisor)),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/plugins/:id/transfer',
      scope: 'plugin:admin',
      doc: 'Gives the id to another publisher of the trust policy, whose bundle is then offered as an upgrade.',
      params: byId,
      query: nothing,
      body: z.strictObject({ publisher: z.string().trim().min(1).max(128) }),
      guarded: true,
      answerAgain: ({ params }) => viewNow(supervisor, params.id),
      handle: (request) => {
        const { id } = request.params;
        return supervisor.transfer({ id, publisher: request.body.publisher }, actorOf(request), guardPlugin(request, supervisor));
      },
    }),
  ];
}
