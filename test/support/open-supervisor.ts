import { join } from 'node:path';
import type { Test } from 'tap';
import { createBundleStore } from '../../supervisor/bundle-store.ts';
import { type Clock, createRealClock } from '../../supervisor/clock.ts';
import { readConfig } from '../../supervisor/config.ts';
import { createPluginLogs } from '../../supervisor/plugin-logs.ts';
import { createPluginStore } from '../../supervisor/plugin-store.ts';
import type { Actor } from '../../supervisor/plugin-view.ts';
import { createSupervisor, type SupervisorDeps } from '../../supervisor/supervisor.ts';
import { createFakeRunner, type FakeRun } from './fake-runner.ts';
import { createQuietLog } from './quiet-log.ts';
import { makeKey, signManifest, simplePolicy, writeBundle } from './signed-bundle.ts';
import { openTempDatabase } from './temp-database.ts';
import { testFolder } from './test-folder.ts';

export const operator: Actor = { id: 't-op', scopes: ['plugin:admin', 'plugin:call'], plugin: null };
export const id = 'example.bundle';
export const services = [{ name: 'tool', methods: [{ name: 'say', effect: 'read', scopes: ['plugin:call'] }] }];
const { policy } = readConfig({ LATTICE_DATA_DIR: '/x', LATTICE_PLUGIN_DIR: '/x', LATTICE_PLUGIN_TRUST: '/x' });

/** What a child does once it is spawned: arm at once, say nothing, or end. */
export type Behaviour = (run: FakeRun) => void;
export const arms: Behaviour = (run) => run.events.ready();
export const staysSilent: Behaviour = () => {};
export const failsToLoad: Behaviour = (run) => run.exit({ cause: 'load-failed', code: 80 });

/** The supervisor on a real database and real signed bundles, with a runner whose children the test plays. */
export async function openSupervisor(t: Test, clock: Clock = createRealClock()) {
  const folder = testFolder(t, { plugins: {} });
  const pluginDir = join(folder, 'plugins');
  const stagingDir = join(folder, 'staging');
  const log = createQuietLog();
  const database = await openTempDatabase(t);
  const key = makeKey();
  const trust = { bytes: simplePolicy(key.publicBase64) };
  const bundles = await createBundleStore({ pluginDir, stagingDir, readPolicy: async () => trust.bytes, clock });
  t.teardown(() => bundles.close());
  const runner = createFakeRunner();
  const behave = { now: arms };
  const start = runner.start;
  Object.assign(runner, {
    async start(...args: Parameters<typeof start>) {
      const run = await start(...args);
      const fake = runner.last();
      const end = () => setImmediate(() => fake.exit({ cause: 'signal', code: null, signal: 'SIGTERM' }));
      Object.assign(run, { terminate: end, kill: end });
      setImmediate(() => behave.now(fake));
      return run;
    },
  });
  const store = createPluginStore({ database, clock });
  const deps: SupervisorDeps = {
    bundles,
    store,
    runner,
    handlers: {} as SupervisorDeps['handlers'], // no child asks for anything here
    append: database.append,
    appendDenial: () => {},
    policy,
    logs: createPluginLogs({ folder: join(folder, 'logs'), ...policy.logs, clock, log }),
    clock,
    log,
    random: () => 0.5,
    probationMs: 1,
  };
  /** Another one on the same database, as after a restart of the service. */
  function create() {
    const next = createSupervisor(deps);
    t.teardown(() => next.stop());
    return next;
  }
  const supervisor = create();
  const artifact = Buffer.from('export default {};');
  /** Puts a version on disk in place of the one there; what is not named is as always. */
  const put = (more: Record<string, unknown> = {}, signer = key, name = 'bundle') =>
    writeBundle(pluginDir, name, signManifest(artifact, signer.privateKey, { services, ...more }), artifact);
  return {
    supervisor,
    create,
    runner,
    behave,
    trust,
    key,
    database,
    store,
    pluginDir,
    stagingDir,
    put,
    async activate(): Promise<void> {
      put();
      await supervisor.start();
      await supervisor.setStatus({ id, status: 'installed' }, operator);
      await supervisor.setStatus({ id, status: 'active' }, operator);
    },
    async offer(more: Record<string, unknown>, signer = key): Promise<void> {
      put(more, signer);
      await supervisor.rescan(operator);
    },
    call: (of = supervisor) =>
      of.call({ id, service: 'tool', method: 'say', payload: null }, operator, { signal: new AbortController().signal, requestId: 'r' }),
    changes: async () => {
      const rows = await database.read.all<{ summary: string; code: string | null }>(
        "SELECT summary, code FROM audit WHERE kind = 'plugin.status' ORDER BY seq",
      );
      return rows.map(({ summary, code }) => ({ ...JSON.parse(summary), ...(code === null ? {} : { code }) }));
    },
  };
}
