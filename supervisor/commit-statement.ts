import type { Head } from './audit-chain.ts';
import { encodeRows, insertRowsFrom, type PendingRow } from './audit-rows.ts';
import { encodePut, type KvPut, putStatementsFrom } from './kv-rows.ts';
import type { Connection } from './sqlite-connection.ts';

const texts = ['counters', 'stored', 'deleted', 'shared', 'own', 'first_seq'] as const;
const given = (name: (typeof texts)[number]) => `NEW.${name}`;
const steps = [
  ...putStatementsFrom(given('counters'), given('stored'), given('deleted')),
  insertRowsFrom(given('shared'), given('own'), given('first_seq')),
];
const insert = `INSERT INTO commit_at_once (${texts.join(', ')}) VALUES (${texts.map(() => '?').join(', ')})`;

/**
 * Lets changes of entries and their audit rows be one statement, which is a transaction by itself: an insert into a view of this connection
 * alone, whose trigger does the rest. Each statement of its own would be a round trip to SQLite's thread.
 */
export async function prepareOneStatement(connection: Connection): Promise<void> {
  await connection.exec(`PRAGMA temp_store = MEMORY;
    CREATE TEMP VIEW commit_at_once AS SELECT ${texts.map((name) => `NULL AS ${name}`).join(', ')};
    CREATE TEMP TRIGGER commit_at_once_write INSTEAD OF INSERT ON commit_at_once BEGIN ${steps.join(';\n')}; END`);
}

const storeSteps = putStatementsFrom('?', '?', '?');

/** The same changes within a transaction that is begun. */
export async function storePut(sql: Pick<Connection, 'run'>, put: KvPut): Promise<void> {
  for (const [at, text] of encodePut(put).entries()) {
    const step = storeSteps[at];
    if (step !== undefined && text !== '[]') await sql.run(step, [text]);
  }
}

/** Commits both, and returns the new head of the chain. */
export async function commitAtOnce(connection: Connection, head: Head, rows: readonly PendingRow[], put: KvPut): Promise<Head> {
  const { shared, own, head: next } = encodeRows(head, rows);
  await connection.run(insert, [...encodePut(put), shared, own, head.seq + 1]);
  return next;
}
