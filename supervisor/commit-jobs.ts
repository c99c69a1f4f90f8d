import type { AuditEntry } from './audit.ts';
import type { PendingRow } from './audit-rows.ts';
import type { Tx } from './database.ts';
import type { Reach } from './failpoints.ts';
import type { KvPut } from './kv-rows.ts';
import type { Connection } from './sqlite-connection.ts';
import { createJobTx } from './write-job.ts';

export type Job = { run(tx: Tx): Promise<unknown>; resolve(value: unknown): void; reject(reason: unknown): void };
/** What a batch leaves for its commit: the rows, what the jobs are told after it, and changes of entries that have waited for it. */
export type Settled = { rows: readonly PendingRow[]; settle: readonly (() => void)[]; put: KvPut | null };
export type Encode = (entry: AuditEntry) => PendingRow;

export const isJob = (item: Job | PendingRow): item is Job => 'run' in item;

/** Begun when a statement needs it: a batch that needs none before its end is committed by one statement, which is a transaction by itself. */
export function createTransaction(connection: Connection) {
  let begun = false;
  return {
    isBegun: () => begun,
    async begin(): Promise<void> {
      if (begun) return;
      await connection.run('BEGIN IMMEDIATE');
      begun = true;
    },
    async rollBack(): Promise<void> {
      if (!begun) return;
      begun = false;
      await connection.run('ROLLBACK');
    },
  };
}

export type Transaction = ReturnType<typeof createTransaction>;
type Deps = { connection: Connection; transaction: Transaction; encode: Encode; reach: Reach };

/** Jobs share the transaction by means of a savepoint each; one that has it for itself needs none, which saves it two round trips. */
export async function runJobs(deps: Deps, items: readonly (Job | PendingRow)[]): Promise<Settled> {
  const { connection, transaction } = deps;
  const alone = items.filter(isJob).length === 1;
  const rows: PendingRow[] = [];
  const settle: (() => void)[] = [];
  let put: KvPut | null = null;
  if (!alone) await transaction.begin();
  for (const item of items) {
    if (!isJob(item)) {
      rows.push(item);
      continue;
    }
    if (!alone) await connection.run('SAVEPOINT job');
    const job = createJobTx({ ...deps, mayWait: alone });
    try {
      const value = await item.run(job.tx);
      settle.push(() => item.resolve(value));
      rows.push(...job.written);
      put = job.waiting();
    } catch (error) {
      job.end(); // before the rollback: what a stray statement wrote after it would stay
      settle.push(() => item.reject(error));
      if (!job.fault()) await (alone ? transaction.rollBack() : connection.run('ROLLBACK TO job'));
    } finally {
      job.end();
    }
    if (job.fault()) throw job.fault();
    if (!alone) await connection.run('RELEASE job');
  }
  return { rows, settle, put };
}
