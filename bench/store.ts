import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import Table from 'cli-table3';
import { createRealClock } from '../supervisor/clock.ts';
import { type Database, openDatabase } from '../supervisor/database.ts';
import { createKvStore } from '../supervisor/kv-store.ts';
import { openConnection, openModes } from '../supervisor/sqlite-connection.ts';
import { createQuietLog } from '../test/support/quiet-log.ts';
import { drive } from './children/drive.js';
import { tell } from './progress.ts';
import { ratios, type Spread, showSpread, spread } from './spread.ts';
import type { Report } from './suites.ts';

const rounds = 9;
const stretchMs = 300;
const auditMs = 2_000;
const rowsPerTurn = 250;
const rowsAhead = 8_000;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Rows as a host call makes them, as many as the store takes, and how long the event loop is kept from other things meanwhile. */
async function measureAudit(database: Database) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let waiting = 0;
  let committed = 0;
  let serial = 0;
  let last: Promise<void> = Promise.resolve();
  delay.enable();
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  while (performance.now() - startMs < auditMs) {
    for (let n = 0; n < rowsPerTurn && waiting < rowsAhead; n++) {
      waiting++;
      const requestId = `bench.plugin:1.${++serial}`;
      last = database
        .append({
          ...{ kind: 'host.decision', plugin: 'bench.plugin', generation: 1, actor: null, method: 'kv.get', verdict: 'allow', requestId },
          summary: '{"key":"colour"}',
        })
        .then(() => {
          waiting--;
          committed++;
        });
    }
    await (waiting < rowsAhead ? turn() : last);
  }
  const elapsedMs = performance.now() - startMs;
  delay.disable();
  const { user, system } = process.cpuUsage(cpu);
  return {
    rowsPerSecond: (committed / elapsedMs) * 1000,
    cpuUsPerRow: (user + system) / committed,
    delayP99Ms: delay.percentile(99) / 1e6,
  };
}

async function openPlain(folder: string) {
  const plain = await openConnection(join(folder, 'plain.db'), openModes.create);
  await plain.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT',
  );
  return plain;
}

/** Changes of the store, each durable with its row, against inserts that are each waited for. */
async function measureKv(database: Database, folder: string) {
  const plain = await openPlain(folder);
  const kv = createKvStore({ database, quota: { keys: 100_000, bytes: 1024 * 1024 * 1024 } });
  const value = 'x'.repeat(100);
  let serial = 0;
  const put = () => kv.put('plugin:bench.plugin', `key-${++serial % 500}`, value, undefined, { kind: 'host.decision', method: 'kv.put' });
  const insert = () => plain.run('INSERT INTO entries VALUES (?, ?)', [`key-${++serial}`, value]);
  const ways = { 'insert, awaited one by one': [insert, 1], 'kv.put, 1 in flight': [put, 1], 'kv.put, 64 in flight': [put, 64] } as const;
  const perSecond = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  try {
    for (let round = 0; round < rounds; round++)
      for (const [name, [act, inFlight]] of Object.entries(ways)) {
        const probe = await drive(act, 10 * inFlight, inFlight);
        const count = Math.max(10, Math.round((stretchMs * probe.count) / probe.elapsedMs));
        const driven = await drive(act, count, inFlight);
        perSecond.get(name)?.push((driven.count / driven.elapsedMs) * 1000);
      }
  } finally {
    await plain.close();
  }
  const base = perSecond.get('insert, awaited one by one') ?? [];
  return [...perSecond].map(([name, values]) => ({
    name,
    per_second: spread(values),
    ratio: ratios(values, base),
  }));
}

export async function measure(): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'lattice-bench-'));
  const database = await openDatabase({ file: join(folder, 'lattice.db'), clock: createRealClock(), log: createQuietLog() });
  try {
    tell('audit rows');
    await measureAudit(database); // code is compiled on first use
    const audits = [];
    for (let round = 0; round < 5; round++) audits.push(await measureAudit(database));
    tell('changes of entries');
    const kv = await measureKv(database, folder);
    const audit = {
      rows_per_second: spread(audits.map(({ rowsPerSecond }) => rowsPerSecond)),
      cpu_us_per_row: spread(audits.map(({ cpuUsPerRow }) => cpuUsPerRow)),
      delay_p99_ms: spread(audits.map(({ delayP99Ms }) => delayP99Ms)),
    };
    return { table: draw(audit, kv), figures: { audit, kv } };
  } finally {
    await database.close();
    await rm(folder, { recursive: true });
  }
}

type Audit = { rows_per_second: Spread; cpu_us_per_row: Spread; delay_p99_ms: Spread };

function draw(audit: Audit, kv: Awaited<ReturnType<typeof measureKv>>): string {
  const table = new Table({
    head: ['what', 'median', 'low to high', 'x insert', 'low to high'],
    style: { head: [], border: [], compact: true },
  });
  table.push(['audit rows/s through the chain', ...showSpread(audit.rows_per_second, 0), '', '']);
  table.push(['  cpu µs a row, all threads', ...showSpread(audit.cpu_us_per_row, 1), '', '']);
  table.push(['  event-loop delay p99 ms', ...showSpread(audit.delay_p99_ms, 1), '', '']);
  for (const { name, per_second, ratio } of kv) table.push([`${name}, /s`, ...showSpread(per_second), ...showSpread(ratio, 1)]);
  return table.toString();
}
