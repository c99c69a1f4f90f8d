import { HostError } from '../protocol/errors.ts';
import type { PendingRow } from './audit-rows.ts';
import type { Encode, Transaction } from './commit-jobs.ts';
import { storePut } from './commit-statement.ts';
import type { Tx } from './database.ts';
import type { Reach } from './failpoints.ts';
import type { KvPut } from './kv-rows.ts';
import type { Connection } from './sqlite-connection.ts';

export type JobTx = {
  tx: Tx;
  /** Its audit rows. */
  written: readonly PendingRow[];
  /** Its changes of entries, where they wait for the commit. */
  waiting(): KvPut | null;
  /** After it, a job that kept its transaction can write nothing into another's. */
  end(): void;
  fault(): unknown;
};
/** `mayWait`: no other job of the batch will look for what this one changes. */
type Deps = { connection: Connection; transaction: Transaction; encode: Encode; reach: Reach; mayWait: boolean };

/**
 * After a fault of the disk SQLite may have ended the transaction by itself; a job that went on would then write outside of any. So the
 * first fault is the answer to every later statement, and to the batch.
 */
export function createJobTx({ connection, transaction, encode, reach, mayWait }: Deps): JobTx {
  const written: PendingRow[] = [];
  let waiting: KvPut | null = null;
  let ended = false;
  let fault: unknown;

  function refuseEnded(): void {
    if (ended) throw new HostError('internal', 'a job used its transaction after it had ended');
  }

  async function guard<T>(call: () => Promise<T>): Promise<T> {
    refuseEnded();
    if (fault) throw fault;
    try {
      await transaction.begin();
      return await call();
    } catch (error) {
      if (error instanceof HostError) fault = error;
      throw error;
    }
  }
  const tx: Tx = {
    run: (sql, params) =>
      guard(async () => {
        const ran = await connection.run(sql, params);
        reach('job.statement');
        return ran;
      }),
    all: (sql, params) => guard(() => connection.all(sql, params)),
    get: (sql, params) => guard(() => connection.get(sql, params)),
    async put(put) {
      refuseEnded();
      if (mayWait && waiting === null && !transaction.isBegun()) waiting = put;
      else await guard(() => storePut(connection, put));
    },
    audit(entry) {
      if (ended) throw new HostError('internal', 'a job wrote an audit row after it had ended');
      written.push(encode(entry));
    },
    reach,
  };
  const end = () => {
    ended = true;
  };
  return { tx, written, waiting: () => waiting, end, fault: () => fault };
}
