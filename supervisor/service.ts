import { join } from 'node:path';
import { closeOpenDecisions } from './audit.ts';
import { createHeadFile, verifyKept } from './audit-head.ts';
import { createHeadReports, findReportChannel } from './audit-head-reports.ts';
import { walkAudit } from './audit-query.ts';
import { createAuditRetention, readLastTime } from './audit-retention.ts';
import { type BundleStore, createBundleStore } from './bundle-store.ts';
import { checkPaths } from './check-paths.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { prepareDataDir, tellAddress } from './data-dir.ts';
import { lockDataDir } from './data-lock.ts';
import { createDatabaseTurns } from './database-turns.ts';
import { createDenialLimiter } from './denial-limiter.ts';
import { probationMs } from './exchange-bundle.ts';
import { type Failpoints, noFailpoints } from './failpoints.ts';
import { createHandlers } from './host/handlers.ts';
import { createApp } from './http/app.ts';
import { startServer } from './http/server.ts';
import { createKvStore } from './kv-store.ts';
import type { Log } from './log.ts';
import { createMarket } from './market/market.ts';
import { readSchemaVersion } from './migrate.ts';
import { openNetwork } from './open-network.ts';
import { createPluginLogs } from './plugin-logs.ts';
import { createPluginStore } from './plugin-store.ts';
import type { SandboxView, Supervisor } from './plugin-view.ts';
import { readTrustPolicy } from './read-trust-policy.ts';
import { createRepeatedRequests } from './repeated-requests.ts';
import type { Runner } from './runner.ts';
import { createStopList } from './stop-list.ts';
import { checkWritable } from './storage/check-writable.ts';
import { openOrSetAside } from './storage/open-or-set-aside.ts';
import { describeSafeMode, startSafeMode } from './storage/safe-mode.ts';
import type { SafeModeRecord } from './storage/set-aside.ts';
import { createStorageView } from './storage/view-storage.ts';
import { createSupervisor } from './supervisor.ts';
import { createTokens } from './tokens.ts';

export type ServiceDeps = {
  config: Config;
  clock: Clock;
  log: Log;
  createRunner(): Promise<Runner>;
  version: string;
  uid: number;
  random(): number;
  failpoints?: Failpoints;
};
export type Service = {
  url: string;
  sandbox: SandboxView | null;
  adminTokenFile: string;
  tokenProblem: string | null;
  supervisor: Supervisor | null; // null in safe mode
  safeMode: SafeModeRecord | null; // why there is no database to work on
  reload(): Promise<void>;
  stop(): Promise<void>;
};

const httpGraceMs = 1_500;

/** Builds every part of the service and starts it; what was started before a failure is stopped again. */
export async function startService(deps: ServiceDeps): Promise<Service> {
  const stops = createStopList();
  try {
    return await build(deps, stops);
  } catch (error) {
    await stops.run();
    throw error;
  }
}

async function build(
  { config, clock, log, createRunner, version, uid, random, failpoints = noFailpoints }: ServiceDeps,
  stops: ReturnType<typeof createStopList>,
): Promise<Service> {
  const { dataDir, policy } = config;
  const { reach } = failpoints;
  checkPaths(config, uid);
  await prepareDataDir(dataDir, uid);
  await checkWritable(dataDir);
  const lock = await lockDataDir(dataDir);
  stops.add(() => lock.release());
  const headFile = join(dataDir, 'audit.head');
  const { database, safeMode } = await openOrSetAside({ file: join(dataDir, 'lattice.db'), headFile, clock, log, reach });
  if (safeMode) return serveSafely({ config, clock, log, version, uid }, safeMode, stops);
  stops.add(() => database.close());
  const head = createHeadFile({ file: headFile, database, clock, log, reach });
  stops.add(() => head.stop());
  const lastKnownMs = await readLastTime(database.read);
  const unknown = await closeOpenDecisions(database);
  await database.append({ kind: 'service.start', summary: JSON.stringify({ version, outcomes_unknown: unknown }) });
  stops.add(() => database.append({ kind: 'service.stop', summary: '{}' }).catch(() => {})); // a full disk must not keep it from stopping
  const retention = createAuditRetention({ database, clock, log, days: policy.audit.retainDays, lastKnownMs });
  stops.add(() => retention.stop());
  const denials = createDenialLimiter({ clock, append: database.append });
  stops.add(() => denials.close());

  const tokens = createTokens({ database, clock, reach });
  const admin = await tokens.ensureAdmin(dataDir);
  const kv = createKvStore({ database, quota: policy.kv });
  const logs = createPluginLogs({ folder: join(dataDir, 'logs'), ...policy.logs, clock, log });
  const network = await openNetwork({ config, clock, log, database, logs, uid, reach });
  stops.add(() => network.delivery.stop());
  const reported = config.auditHead && findReportChannel(network.channels, config.auditHead.channel);
  const turns = createDatabaseTurns(clock);
  const handlers = createHandlers({ kv, logs, sql: database.read, turns, httpFetch: network.httpFetch, notifySend: network.notifySend });

  const runner = await createRunner();
  stops.add(() => runner.close());
  const bundles = await openBundles(config, clock, uid, failpoints);
  stops.add(() => bundles.close());
  const supervisor = createSupervisor({
    bundles,
    store: createPluginStore({ database, clock }),
    runner,
    handlers,
    append: database.append,
    appendDenial: denials,
    policy,
    logs,
    clock,
    log,
    random,
    probationMs,
    reach,
  });
  stops.add(() => supervisor.stop());

  const market = await createMarket({
    place: config.marketIndex,
    exemptions: config.marketAllow,
    maxAgeDays: policy.market.maxAgeDays,
    dataDir,
    client: network.client,
    database,
    policy: bundles.policy,
    examineIndex: bundles.examineIndex,
    checkArchive: bundles.checkArchive,
    sandbox: runner.sandbox,
    clock,
  });
  const storage = createStorageView(database, await readSchemaVersion(database.read));
  const app = createApp({
    supervisor: { ...supervisor, health: () => storage.judge(supervisor.health()) },
    trust: bundles,
    tokens,
    kv,
    market,
    repeated: createRepeatedRequests({ database, clock }),
    audit: {
      query: (filter, signal) => turns.walkForOperator(signal, walkAudit(database.read, filter)),
      verify: (against) => verifyKept(database.read, headFile, against),
      head: database.head,
    },
    clock,
    log,
    listen: config.listen,
    deny: denials,
    reach,
    version,
    database: storage.view,
    doctor: () => ({
      version,
      node: process.versions.node,
      uid,
      runner: runner.name,
      sandbox: runner.sandbox(),
      waiting_children: runner.waiting(),
      database: storage.view(),
      audit_rows: database.head().seq,
      plugins: supervisor.health().plugins,
      refused: supervisor.refused(),
    }),
  });
  const server = await startServer(app, { ...config.listen, clock });
  stops.add(() => server.stop(httpGraceMs));
  await supervisor.start();
  network.delivery.start();
  if (config.auditHead && reported) {
    const reports = createHeadReports({ ...config.auditHead, channel: reported, database, client: network.client, clock, log, random });
    stops.add(() => reports.stop());
  }
  await tellAddress(dataDir, server.url, stops);
  log.info('service.ready', { url: server.url, plugins: supervisor.list().length, refused: supervisor.refused().length });
  return {
    url: server.url,
    sandbox: runner.sandbox(),
    adminTokenFile: admin.file,
    tokenProblem: admin.problem ?? null,
    supervisor,
    safeMode: null,
    reload: async () => void (await supervisor.rescan({ id: 'signal', scopes: [], plugin: null })),
    stop: () => stops.run(),
  };
}

/** The service without a database: nothing runs, and an operator can see why. */
async function serveSafely(
  deps: Pick<ServiceDeps, 'config' | 'clock' | 'log' | 'version' | 'uid'>,
  record: SafeModeRecord,
  stops: ReturnType<typeof createStopList>,
): Promise<Service> {
  const { url, adminTokenFile } = await startSafeMode({ ...deps, record, stops });
  await tellAddress(deps.config.dataDir, url, stops);
  deps.log.error('service.safe-mode', { url, ...describeSafeMode(record) });
  return {
    url,
    sandbox: null,
    adminTokenFile,
    tokenProblem: null,
    supervisor: null,
    safeMode: record,
    reload: async () => deps.log.warn('service.safe-mode', { ...describeSafeMode(record) }),
    stop: () => stops.run(),
  };
}

const openBundles = (
  { pluginDir, dataDir, trustFile, allowUnsigned }: Config,
  clock: Clock,
  uid: number,
  failpoints: Failpoints,
): Promise<BundleStore> =>
  createBundleStore({
    pluginDir,
    stagingDir: join(dataDir, 'staging'),
    allowUnsigned,
    readPolicy: () => readTrustPolicy(trustFile, uid),
    clock,
    failpoints,
  });
