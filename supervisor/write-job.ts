import { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import type { PendingRow } from './audit-rows.ts';
import type { Tx } from './database.ts';
import type { Reach } from './failpoints.ts';
import type { Connection } from './sqlite-connection.ts';

export type JobTx = {
  tx: Tx;
  /** After it, a job that kept its transaction can write nothing into another's. */
  end(): void;
  fault(): unknown;
};

/**
 * After a fault of the disk SQLite may have ended the transaction by itself; a job that went on would then write outside of any. So the
 * first fault is the answer to every later statement, and to the batch.
 */
export function createJobTx(connection: Connection, written: PendingRow[], encode: (entry: AuditEntry) => PendingRow, reach: Reach): JobTx {
  let ended = false;
  let fault: unknown;
  async function guard<T>(call: () => Promise<T>): Promise<T> {
    if (ended) throw new HostError('internal', 'a job used its transaction after it had ended');
    if (fault) throw fault;
    try {
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
    audit(entry) {
      if (ended) throw new HostError('internal', 'a job wrote an audit row after it had ended');
      written.push(encode(entry));
    },
    reach,
  };
  const end = () => {
    ended = true;
  };
  return { tx, end, fault: () => fault };
}
