import { hash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capabilityNames } from '../../protocol/capabilities.ts';
import { asHostError, HostError } from '../../protocol/errors.ts';
import { defaultRates } from '../../protocol/host-methods.ts';
import { shareFor } from '../../protocol/work.ts';
import { createBroker } from '../../supervisor/broker.ts';
import { createRealClock, delay } from '../../supervisor/clock.ts';
import { type Database, openDatabase } from '../../supervisor/database.ts';
import { createDatabaseTurns } from '../../supervisor/database-turns.ts';
import { createDenialLimiter } from '../../supervisor/denial-limiter.ts';
import { createHandlers } from '../../supervisor/host/handlers.ts';
import { createKvStore } from '../../supervisor/kv-store.ts';
import { createPluginLogs } from '../../supervisor/plugin-logs.ts';
import { createRateLimiter } from '../../supervisor/rate-limiter.ts';
import type { Run } from '../../supervisor/runner.ts';
import { loadRunnerBundle } from '../../supervisor/runner-bundle.ts';
import { createSubprocessRunner } from '../../supervisor/runner-subprocess.ts';
import { createPipeMaker } from '../../supervisor/sandbox/response-pipe.ts';
import { describeOwnNode, findTools } from '../../supervisor/sandbox/tools.ts';
import { createUidPool } from '../../supervisor/sandbox/uids.ts';
import { createTestLaunch } from '../../test/support/launch.ts';
import { createQuietLog } from '../../test/support/quiet-log.ts';
import { type Contender, type Driven, keyOf, type Session, sizes, textOf } from './contender.ts';
import { childFile } from './raw.ts';

const clock = createRealClock();
/** As an operator would raise them: the limits stay in the path, and are not what is measured. */
const rates = Object.fromEntries(Object.keys(defaultRates).map((name) => [name, { perSecond: 1e6, burst: 1e6 }])) as typeof defaultRates;
const id = 'bench.plugin';

export type Whole = Session & { database: Database; run1: Run };

/** The whole path: framer, peer, broker with schemas, capability, rates and audit, the store on a real database, a child in its sandbox. */
export async function openWhole(): Promise<Whole> {
  const folder = await mkdtemp(join(tmpdir(), 'lattice-bench-'));
  const log = createQuietLog();
  const database = await openDatabase({ file: join(folder, 'lattice.db'), clock, log });
  const denials = createDenialLimiter({ clock, append: database.append });
  const kv = createKvStore({ database, quota: { keys: 10_000, bytes: 64 * 1024 * 1024 } });
  for (const bytes of sizes) await kv.put(`plugin:${id}`, keyOf(bytes), textOf(bytes), undefined, { kind: 'kv.change' });
  const unavailable = () => Promise.reject(new HostError('unavailable', 'not in this bench'));
  const handlers = createHandlers({
    kv,
    logs: createPluginLogs({ folder: join(folder, 'logs'), runBytes: 1024 * 1024, runs: 2, clock, log }),
    sql: database.read,
    turns: createDatabaseTurns(clock),
    httpFetch: unavailable,
    notifySend: unavailable,
  });
  const exited = Promise.withResolvers<void>();
  const run = await startChild(exited.resolve);

  async function startChild(onExit: () => void): Promise<Run> {
    const artifact = Buffer.from(
      `${(await readFile(childFile('drive.js'), 'utf8')).replace('export ', '')}${await readFile(childFile('plugin.js'), 'utf8')}`,
    );
    const grant = { pluginId: id, capabilities: new Set(capabilityNames), egress: [], readBuckets: [] };
    const launch = createTestLaunch(1, {
      ...{ plugin: { id, name: 'Bench', version: '1.0.0' }, artifact, artifactSha256: hash('sha256', artifact), grant },
      services: { bench: ['echo', 'cpu', 'run'] },
    });
    const limiters = Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, createRateLimiter(rate, clock.monotonicMs)]));
    const dispatch = createBroker({
      ...{ grant, generation: 1, handlers, clock, append: database.append, appendDenial: denials },
      askable: () => 'all',
      actor: () => null,
      rates: limiters as never, // one for each class that rates has
    });
    const ready = Promise.withResolvers<void>();
    const fault = (text: string) => ready.reject(new Error(text));
    const started = await (await createRunner()).start(launch, dispatch, {
      ready: ready.resolve,
      violated: (rule, detail) => fault(`${rule}: ${detail}`),
      crashed: () => {},
      output: (_source, text) => process.stderr.write(`${text}\n`),
      exited(exit) {
        onExit();
        fault(exit.detail);
      },
    });
    await ready.promise;
    return started;
  }

  const invoke = (method: string, payload: unknown) => run.invoke('bench', method, payload, { timeoutMs: 60_000 });
  return {
    database,
    run1: run,
    run: async (order) => (await invoke('run', order)) as Driven, // what drive.js returns
    echo: (payload) => persist(() => invoke('echo', payload)),
    cpuOfChild: async () => (await invoke('cpu', null)) as { user: number; system: number },
    async close() {
      run.kill();
      await exited.promise;
      await database.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function createRunner() {
  const tools = await findTools(describeOwnNode());
  const level = tools.bwrap ? 'isolated' : 'none';
  return createSubprocessRunner({
    ...{
      tools: () => tools,
      runnerBundle: await loadRunnerBundle(),
      clock,
      warmChildren: 0,
      callTimeoutMs: 30_000,
      share: shareFor(rates),
      createLeaf: null,
    },
    pipes: createPipeMaker(() => tools.shell),
    uids: process.getuid?.() === 0 ? createUidPool() : null,
    suspectSandbox: () => {},
    sandbox: () => ({ level, minimum: level, layers: [] }),
    chooseLevel: async () => ({ level, disableUserns: true }),
  });
}

/** More than 1.5 MiB that the child has not read yet is refused with `rate-limited`: then the caller asks again a little later. */
async function persist(ask: () => Promise<unknown>): Promise<unknown> {
  for (;;)
    try {
      return await ask();
    } catch (error) {
      if (asHostError(error).code !== 'rate-limited') throw error;
      await delay(clock, 1);
    }
}

export const lattice: Contender = { name: 'lattice, whole path', open: openWhole };
