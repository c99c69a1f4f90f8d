import type { DoctorView, Supervisor } from '../plugin-view.ts';
import { declareRoute, noBody, nothing, type Route } from './route.ts';

export type HealthDeps = { supervisor: Pick<Supervisor, 'health'>; version: string; doctor(): DoctorView };

/** Probes need no token, and learn no more than the status without one. */
export function createHealthRoutes({ supervisor, version, doctor }: HealthDeps): Route[] {
  return [
    declareRoute({
      method: 'GET',
      path: '/healthz',
      scope: null,
      doc: 'Answers while the service lives.',
      params: nothing,
      query: nothing,
      body: noBody,
      handle: () => ({ status: 'ok' }),
    }),
    declareRoute({
      method: 'GET',
      path: '/readyz',
      scope: null,
      doc: 'Tells whether the service does its work, with 200 or 503; with any valid token also why not.',
      params: nothing,
      query: nothing,
      body: noBody,
      handle: (request) => {
        const { ready, reasons, plugins } = supervisor.health();
        request.status(ready ? 200 : 503);
        const status = ready ? 'ready' : 'not-ready';
        return request.actor === null ? { status } : { status, version, reasons, plugins };
      },
    }),
    declareRoute({
      method: 'GET',
      path: '/api/doctor',
      scope: 'plugin:admin',
      doc: 'What the service stands on: the sandbox and its layers, the runner, the bundles that were refused.',
      params: nothing,
      query: nothing,
      body: noBody,
      handle: () => doctor(),
    }),
  ];
}
