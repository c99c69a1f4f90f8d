import { timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { scopes } from '../../protocol/scopes.ts';
import { readPrivate } from '../admin-token.ts';
import { verifyKept } from '../audit-head.ts';
import { queryAudit } from '../audit-query.ts';
import { readHead } from '../audit-rows.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../database.ts';
import { createControlPlane } from '../http/app.ts';
import { createAuditRoutes } from '../http/audit-routes.ts';
import { createDatabaseRoutes } from '../http/database-routes.ts';
import { createHealthRoutes } from '../http/health-routes.ts';
import { startServer } from '../http/server.ts';
import type { Log } from '../log.ts';
import type { DatabaseView } from '../plugin-view.ts';
import { type Connection, openConnection, openModes } from '../sqlite-connection.ts';
import { type SafeModeRecord, sizeOrNull } from './set-aside.ts';

export const safeModeHint =
  'stop the service and run `lattice db restore <backup>`; to begin with an empty database move safe-mode.json and audit.head away; keep what was set aside';

const noPlugins = { active: 0, armed: 0, failed: 0 };

export const describeSafeMode = (record: SafeModeRecord): DatabaseView => ({ state: 'safe-mode', ...record, hint: safeModeHint });

/** Serves what an operator needs to see when there is no database to work on: health, doctor, database and, as far as it can be read, audit. */
export async function startSafeMode(deps: {
  config: Config;
  clock: Clock;
  log: Log;
  version: string;
  uid: number;
  record: SafeModeRecord;
  stops: { add(stop: () => unknown): void };
}): Promise<{ url: string; adminTokenFile: string }> {
  const { config, clock, log, version, uid, record, stops } = deps;
  const adminTokenFile = join(config.dataDir, 'admin.token');
  const kept = await openKept(config.dataDir, record);
  if (kept) stops.add(() => kept.close());
  const sql: Sql = kept ?? noDatabase;
  const view = describeSafeMode(record);
  const head = await readHead(sql).catch(() => ({ seq: 0, hash: '' }));
  const routes = [
    ...createAuditRoutes({
      audit: {
        query: (filter) => queryAudit(sql, filter),
        verify: (against) => verifyKept(sql, join(config.dataDir, 'audit.head'), against),
        head: () => head,
      },
    }),
    ...createDatabaseRoutes({ database: () => view }),
    ...createHealthRoutes({
      supervisor: { health: () => ({ ready: false, reasons: [`safe mode: ${record.detail}`], plugins: noPlugins }) },
      version,
      doctor: () => ({
        version,
        node: process.versions.node,
        uid,
        runner: 'none',
        sandbox: null,
        waiting_children: null,
        database: view,
        audit_rows: head.seq,
        plugins: noPlugins,
        refused: [],
      }),
    }),
  ];
  const app = createControlPlane(
    {
      tokens: { authenticate: (token) => authenticate(adminTokenFile, token) },
      clock,
      log,
      listen: config.listen,
      deny: ({ code, summary }) => log.warn('safe-mode.denied', { code, summary }), // there is no audit to write to
      refuseOthers: refuseInSafeMode,
    },
    routes,
  );
  const server = await startServer(app, { ...config.listen, clock });
  stops.add(() => server.stop(0));
  return { url: server.url, adminTokenFile };
}

function refuseInSafeMode(): never {
  throw new HostError(
    'storage-unavailable',
    'the service is in safe mode: nothing can be done but look at its health, doctor, database and audit',
    {
      rule: 'safe-mode',
      hint: 'lattice doctor',
    },
  );
}

/** Only what stands in the file counts: the database that knows the other tokens is the one that cannot be trusted. */
async function authenticate(file: string, token: string) {
  const found = await readPrivate(file);
  if (typeof found !== 'object') return null;
  const [held, given] = [Buffer.from(found.text), Buffer.from(token)];
  if (held.length === 0 || held.length !== given.length || !timingSafeEqual(held, given)) return null;
  return { id: 'admin.token', scopes, plugin: null };
}

/** A damaged database may still show its audit. It is opened for reading only, so that it stays as evidence. */
async function openKept(dataDir: string, { set_aside: kept }: SafeModeRecord): Promise<Connection | null> {
  if (kept === null || (await sizeOrNull(join(dataDir, kept))) === null) return null;
  return openConnection(join(dataDir, kept), openModes.read).catch(() => null);
}

const unreadable = (): Promise<never> =>
  Promise.reject(new HostError('storage-unavailable', 'there is no database to read from', { rule: 'safe-mode', hint: 'lattice doctor' }));
const noDatabase: Sql = { run: unreadable, all: unreadable, get: unreadable };
