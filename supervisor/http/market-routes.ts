import { z } from 'zod';
import { type Market, pageMost } from '../market/market.ts';
import { actorOf, pluginId, queryNumber } from './fields.ts';
import { declareRoute, emptyBody, noBody, nothing, type Route } from './route.ts';

export type MarketDeps = { market: Market };

export function createMarketRoutes({ market }: MarketDeps): Route[] {
  return [
    declareRoute({
      method: 'GET',
      path: '/api/marketplace',
      scope: 'audit:read',
      doc: 'What the last good plugin index offers, with the six install checks of each candidate; with `all=1` every release. Pass `next` as `after` to read on; it is null at the end.',
      params: nothing,
      query: z.strictObject({
        id: pluginId.optional(),
        all: z.enum(['0', '1']).default('0'),
        after: z.string().min(1).max(256).optional(),
        limit: queryNumber(1, pageMost).default(100),
      }),
      body: noBody,
      handle: ({ query: { all, ...page } }) => market.view({ ...page, all: all === '1' }),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/marketplace/refresh',
      scope: 'plugin:admin',
      doc: 'Reads the index anew. One that is refused leaves the last good one in place.',
      params: nothing,
      query: nothing,
      body: emptyBody,
      handle: (request) => market.refresh({ actor: actorOf(request), requestId: request.requestId }),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/marketplace/fetch',
      scope: 'plugin:admin',
      doc: 'Fetches one release into quarantine and makes all six checks. It never installs, activates or runs anything.',
      params: nothing,
      query: nothing,
      body: z.strictObject({ id: pluginId, version: z.string().trim().min(1).max(64) }),
      handle: (request) => market.fetch(request.body, { actor: actorOf(request), requestId: request.requestId }),
    }),
  ];
}
