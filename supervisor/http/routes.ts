import { type AuditDeps, createAuditRoutes } from './audit-routes.ts';
import { type CallDeps, createCallRoutes } from './call-routes.ts';
import { createDatabaseRoutes, type DatabaseDeps } from './database-routes.ts';
import { createHealthRoutes, type HealthDeps } from './health-routes.ts';
import { createKvRoutes, type KvDeps } from './kv-routes.ts';
import { createLifecycleRoutes } from './lifecycle-routes.ts';
import { createLogRoutes } from './log-routes.ts';
import { createMarketRoutes, type MarketDeps } from './market-routes.ts';
import { createPluginRoutes, type PluginDeps } from './plugin-routes.ts';
import type { Route } from './route.ts';
import { createTokenRoutes, type TokenDeps } from './token-routes.ts';
import { createTrustRoutes, type TrustDeps } from './trust-routes.ts';
import { createUpgradeRoutes } from './upgrade-routes.ts';

export type RouteDeps = AuditDeps & CallDeps & DatabaseDeps & HealthDeps & KvDeps & MarketDeps & PluginDeps & TokenDeps & TrustDeps;

/** The whole API. Rows with a fixed path stand before rows with an id in the same place; calls come first, because they are many. */
export const createRoutes = (deps: RouteDeps): Route[] => [
  ...createCallRoutes(deps),
  ...createLifecycleRoutes(deps),
  ...createTrustRoutes(deps),
  ...createPluginRoutes(deps),
  ...createUpgradeRoutes(deps),
  ...createLogRoutes(deps),
  ...createKvRoutes(deps),
  ...createMarketRoutes(deps),
  ...createAuditRoutes(deps),
  ...createDatabaseRoutes(deps),
  ...createTokenRoutes(deps),
  ...createHealthRoutes(deps),
];
