import type { Clock, Timer } from './clock.ts';
import { createClockBelief } from './clock-belief.ts';
import type { Database, Sql } from './database.ts';
import type { Log } from './log.ts';

const rowsPerJob = 2000; // a job holds up every other writer
const newestKept = 1000; // never removed, so that a recorded head a second behind is always still there
const intervalMs = 60 * 60 * 1000;
const dayMs = 24 * 60 * 60 * 1000;

/**
 * Removes rows from the front that are older than the given days, in one transaction with the marker that says up to where and with a row of
 * the chain that says the same: a front that somebody else cut off has no such row. Answers how many went.
 */
export async function pruneAudit(database: Database, clock: Clock, days: number): Promise<number> {
  const cutoff = new Date(clock.wallMs() - days * dayMs).toISOString();
  const most = database.head().seq - newestKept; // taken once: each job adds a row, and would let one more go
  let removed = 0;
  for (;;) {
    const through = await findThrough(database, cutoff, most);
    if (through === null) return removed;
    removed += await database.write(async (tx) => {
      await tx.run(
        'INSERT INTO audit_marker (one, seq, hash) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash',
        [through.seq, through.hash],
      );
      const { changes } = await tx.run('DELETE FROM audit WHERE seq <= ?', [through.seq]);
      tx.audit({ kind: 'audit.pruned', summary: JSON.stringify({ through: through.seq, hash: through.hash, rows: changes }) });
      return changes;
    });
  }
}

/** The last row of those to go next. By number, not by time alone: a clock that was set back must not leave a gap. */
async function findThrough(database: Database, cutoff: string, most: number): Promise<{ seq: number; hash: string } | null> {
  const first = (await database.read.get<{ seq: number | null }>('SELECT min(seq) AS seq FROM audit'))?.seq ?? null;
  if (first === null) return null;
  const open =
    (await database.read.get<{ seq: number | null }>('SELECT min(seq) AS seq FROM open_decisions'))?.seq ?? Number.MAX_SAFE_INTEGER;
  const last = Math.min(first + rowsPerJob - 1, most, open - 1);
  const young = await database.read.get<{ seq: number }>(
    'SELECT seq FROM audit WHERE seq BETWEEN ? AND ? AND time >= ? ORDER BY seq LIMIT 1',
    [first, last, cutoff],
  );
  const through = young ? young.seq - 1 : last;
  if (through < first) return null;
  return (await database.read.get<{ seq: number; hash: string }>('SELECT seq, hash FROM audit WHERE seq = ?', [through])) ?? null;
}

/** When the last row was written, by the clock of that time; null when there is none. To be asked before this run writes one. */
export async function readLastTime(sql: Pick<Sql, 'get'>): Promise<number | null> {
  const row = await sql.get<{ time: string }>('SELECT time FROM audit ORDER BY seq DESC LIMIT 1');
  return row === undefined ? null : Date.parse(row.time);
}

type RetentionDeps = { database: Database; clock: Clock; log: Log; days: number | null; lastKnownMs: number | null };

/** Looks at the start and every hour; without a number of days nothing is ever removed, nor while the clock is in doubt. */
export function createAuditRetention(deps: RetentionDeps): { stop(): Promise<void> } {
  const { database, clock, log, days } = deps;
  const isBelieved = createClockBelief(clock, deps.lastKnownMs);
  let doubted = false;
  let timer: Timer | undefined;
  let stopped = false;
  async function prune(keepDays: number): Promise<void> {
    const before = doubted;
    doubted = !isBelieved();
    if (doubted && !before)
      log.warn('audit.prune.waits', {
        hint: 'the clock jumped, or stood elsewhere when the service last ran: nothing is removed until it has been steady for a day',
      });
    if (doubted) return;
    const removed = await pruneAudit(database, clock, keepDays);
    if (removed > 0) log.info('audit.pruned', { rows: removed });
  }
  async function run(keepDays: number): Promise<void> {
    try {
      await prune(keepDays);
    } catch (error) {
      log.warn('audit.prune.failed', { error: String(error), hint: 'it is tried again within the hour' });
    }
    if (stopped) return;
    timer = clock.timer(intervalMs, () => {
      running = run(keepDays);
    });
    timer.rest?.();
  }
  let running = days === null ? Promise.resolve() : run(days);
  return {
    async stop() {
      stopped = true;
      timer?.cancel();
      await running;
    },
  };
}
