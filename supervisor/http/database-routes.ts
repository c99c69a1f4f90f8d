import type { DatabaseView } from '../plugin-view.ts';
import { declareRoute, noBody, nothing, type Route } from './route.ts';

export type DatabaseDeps = { database(): DatabaseView };

export const createDatabaseRoutes = ({ database }: DatabaseDeps): Route[] => [
  declareRoute({
    method: 'GET',
    path: '/api/database',
    scope: 'audit:read',
    doc: 'Tells whether the database is in use or set aside, and then why, under which name, and what to do.',
    params: nothing,
    query: nothing,
    body: noBody,
    handle: () => database(),
  }),
];
