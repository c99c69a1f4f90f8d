import { HostError } from '../protocol/errors.ts';
import type { Head } from './audit-chain.ts';
import { createAuditInserter, createEntryEncoder, fitOneStatement, type PendingRow, readHead } from './audit-rows.ts';
import { type Clock, type Timer, timestamp } from './clock.ts';
import { createCommitFaults } from './commit-faults.ts';
import { createTransaction, type Encode, isJob, type Job, runJobs, type Settled, type Transaction } from './commit-jobs.ts';
import { commitAtOnce, prepareOneStatement, storePut } from './commit-statement.ts';
import type { Database, Tx } from './database.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import type { Log } from './log.ts';
import type { Connection } from './sqlite-connection.ts';

type Batch = { items: (Job | PendingRow)[]; committed: PromiseWithResolvers<void>; urgent: boolean };

const itemsPerCommit = 2000; // some 15 ms of work: a caller waits for the batch before its own and for its own
const lingerMs = 10; // rows that nobody waits for: a commit each would cost more than all else that a read does
const isRow = (item: Job | PendingRow): item is PendingRow => !isJob(item);

type Deps = { connection: Connection; clock: Clock; log: Log; head: Head; reach?: Reach };
export type GroupCommit = Pick<Database, 'write' | 'append' | 'head' | 'commits' | 'fault'> & { end(): Promise<void> };

/** The writer of a connection with the service's tables. */
export async function openGroupCommit(deps: Omit<Deps, 'head'>): Promise<GroupCommit> {
  await prepareOneStatement(deps.connection);
  return createGroupCommit({ ...deps, head: await readHead(deps.connection) });
}

/** The only writer. What is queued while one transaction runs goes into the next, so one commit and its fsync serve them all. */
export function createGroupCommit(deps: Deps): GroupCommit {
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
      const transaction = createTransaction(connection);
      reach('commit.begun');
      const rows = batch.items.filter(isRow);
      const isPlain = rows.length === batch.items.length && fitOneStatement(rows);
      settled = isPlain ? { rows, settle: [], put: null } : await runJobs({ connection, transaction, encode, reach }, batch.items);
      reach('commit.written');
      const next = await record(transaction, settled);
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

  /** Writes what is left to write, and commits. */
  async function record(transaction: Transaction, { rows, put }: Settled): Promise<Head> {
    if (!transaction.isBegun() && fitOneStatement(rows)) return put ? commitAtOnce(connection, head, rows, put) : insert(head, rows);
    await transaction.begin();
    if (put) await storePut(connection, put);
    const next = await insert(head, rows);
    reach('commit.recorded');
    await connection.run('COMMIT');
    return next;
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
