import { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import type { Head } from './audit-chain.ts';
import { createAuditInserter, createEntryEncoder, fitOneStatement, type PendingRow, readHead } from './audit-rows.ts';
import { type Clock, type Timer, timestamp } from './clock.ts';
import { createCommitFaults } from './commit-faults.ts';
import type { Database, Tx } from './database.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import type { Log } from './log.ts';
import type { Connection } from './sqlite-connection.ts';
import { createJobTx } from './write-job.ts';

type Job = { run(tx: Tx): Promise<unknown>; resolve(value: unknown): void; reject(reason: unknown): void };
type Batch = { items: (Job | PendingRow)[]; committed: PromiseWithResolvers<void>; urgent: boolean };
type Encode = (entry: AuditEntry) => PendingRow;
type Settled = { rows: readonly PendingRow[]; settle: readonly (() => void)[] };

const itemsPerCommit = 2000; // some 15 ms of work: a caller waits for the batch before its own and for its own
const lingerMs = 10; // rows that nobody waits for: a commit each would cost more than all else that a read does
const isJob = (item: Job | PendingRow): item is Job => 'run' in item;
const isRow = (item: Job | PendingRow): item is PendingRow => !isJob(item);

/** The only writer. What is queued while one transaction runs goes into the next, so one commit and its fsync serve them all. */
export function createGroupCommit(deps: {
  connection: Connection;
  clock: Clock;
  log: Log;
  head: Head;
  reach?: Reach;
}): Pick<Database, 'write' | 'append' | 'head' | 'commits' | 'fault'> & { end(): Promise<void> } {
  const { connection, clock, reach = noFailpoints.reach } = deps;
  const insert = createAuditInserter(connection);
  const queue: Batch[] = [];
  let head = deps.head;
  let headKnown = true;
  let commits = 0;
  let working: Promise<void> | undefined;
  let lingering: Timer | undefined;
  let ended = false;
  const [stamp, encodeAt] = [createStamp(clock), createEntryEncoder()];
  const encode: Encode = (entry) => encodeAt(entry, stamp());
  const faults = createCommitFaults({ clock, log: deps.log, write });

  function enqueue(item: Job | PendingRow, urgent = true): Promise<void> {
    let batch = queue.at(-1);
    if (!batch || batch.items.length >= itemsPerCommit) {
      batch = { items: [], committed: Promise.withResolvers(), urgent: false };
      batch.committed.promise.catch(() => undefined); // nobody has to wait for an appended row
      queue.push(batch);
    }
    batch.items.push(item);
    batch.urgent ||= urgent;
    if (!working) begin();
    return batch.committed.promise;
  }

  const isDue = (): boolean => queue.length > 1 || (queue[0]?.urgent ?? false);

  function begin(): void {
    if (!isDue()) {
      if (queue.length > 0) lingering ??= clock.timer(lingerMs, workNow);
      return;
    }
    lingering?.cancel();
    lingering = undefined;
    working ??= work();
  }

  function workNow(): void {
    lingering = undefined;
    for (const batch of queue) batch.urgent = true;
    if (!working) begin();
  }

  async function work(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // what else this tick asks for shares the transaction
    while (isDue()) await commit(queue.shift() as Batch); // due: there is one
    working = undefined;
    begin();
  }

  async function commit(batch: Batch): Promise<void> {
    let settled: Settled;
    try {
      if (!headKnown) head = await readHead(connection);
      headKnown = true;
      const rows = batch.items.filter(isRow);
      const alone = rows.length === batch.items.length && fitOneStatement(rows); // one statement is a transaction by itself
      if (!alone) await connection.run('BEGIN IMMEDIATE');
      reach('commit.begun');
      settled = alone ? { rows, settle: [] } : await runItems(connection, batch, encode, reach);
      reach('commit.written');
      const next = await insert(head, settled.rows);
      reach('commit.recorded');
      if (!alone) await connection.run('COMMIT');
      reach('commit.durable');
      head = next;
      commits += 1;
    } catch (error) {
      headKnown = false; // a commit that reports an error may still be durable
      await connection.run('ROLLBACK').catch(() => undefined); // SQLite may have rolled back by itself
      const reason = asCommitError(error);
      faults.failed(reason, batch.items.length);
      failBatch(batch, reason);
      return;
    }
    faults.worked();
    batch.committed.resolve();
    for (const settle of settled.settle) settle();
    reach('commit.told');
  }

  function write<T>(run: (tx: Tx) => Promise<T>): Promise<T> {
    if (ended) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      // The value that the queue hands back is the one that this very job returned.
      enqueue({ run, resolve: resolve as (value: unknown) => void, reject });
    });
  }

  return {
    write,
    append(entry, when) {
      try {
        if (ended) throw closedError();
        return enqueue(encode(entry), when !== 'soon');
      } catch (error) {
        const refused = Promise.reject(error);
        refused.catch(() => undefined);
        return refused;
      }
    },
    head: () => head,
    commits: () => commits,
    fault: faults.fault,
    async end() {
      ended = true;
      faults.end();
      workNow();
      await working;
    },
  };
}

/** A job shares the transaction by means of a savepoint; one that has it for itself needs none, which saves it two round trips. */
async function runItems(connection: Connection, batch: Batch, encode: Encode, reach: Reach): Promise<Settled> {
  const alone = batch.items.filter(isJob).length === 1;
  const rows: PendingRow[] = [];
  const settle: (() => void)[] = [];
  for (const item of batch.items) {
    if (!isJob(item)) {
      rows.push(item);
      continue;
    }
    if (!alone) await connection.run('SAVEPOINT job');
    const written: PendingRow[] = [];
    const tx = createJobTx(connection, written, encode, reach);
    try {
      const value = await item.run(tx.tx);
      settle.push(() => item.resolve(value));
      rows.push(...written);
    } catch (error) {
      tx.end(); // before the rollback: what a stray statement wrote after it would stay
      settle.push(() => item.reject(error));
      if (!tx.fault()) await connection.run(alone ? 'ROLLBACK' : 'ROLLBACK TO job');
      if (!tx.fault() && alone) await connection.run('BEGIN IMMEDIATE');
    } finally {
      tx.end();
    }
    if (tx.fault()) throw tx.fault();
    if (!alone) await connection.run('RELEASE job');
  }
  return { rows, settle };
}

/** Many rows share a millisecond, and formatting it costs as much as the rest of a row. */
function createStamp(clock: Clock): () => string {
  let lastMs = Number.NaN;
  let text = '';
  return () => {
    const nowMs = clock.wallMs();
    if (nowMs !== lastMs) text = timestamp(clock);
    lastMs = nowMs;
    return text;
  };
}

function failBatch(batch: Batch, error: HostError): void {
  batch.committed.reject(error);
  for (const item of batch.items) if (isJob(item)) item.reject(error);
}

function asCommitError(error: unknown): HostError {
  if (error instanceof HostError) return error;
  const hint = 'see the service’s log; a program other than the service may have written to the database';
  return new HostError('storage-unavailable', 'the transaction could not be committed', { hint }, { cause: error });
}

const closedError = (): HostError =>
  new HostError('storage-unavailable', 'the database is closed', { hint: 'the service is stopping: ask again when it runs' });
