import sqlite3 from 'sqlite3';
import { HostError } from '../protocol/errors.ts';
import type { Row, Sql } from './database.ts';
import { diskFaults } from './disk-fault.ts';

export type Connection = Sql & { exec(sql: string): Promise<void>; close(): Promise<void> };
export const openModes = {
  write: sqlite3.OPEN_READWRITE | sqlite3.OPEN_FULLMUTEX,
  create: sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE | sqlite3.OPEN_FULLMUTEX,
  read: sqlite3.OPEN_READONLY | sqlite3.OPEN_FULLMUTEX,
} as const;

const mostStatements = 200; // the audit query alone has some dozens of shapes

const retryHint = 'the service goes on by itself once the cause is gone';
const busy = { rule: 'database-busy', hint: `another program holds the database: end it; ${retryHint}` };
const damaged = { rule: 'damaged-database', hint: 'stop the service, keep a copy of the file, and restore a backup' };
const causes: Readonly<Record<number, { rule: string; hint: string }>> = {
  [sqlite3.FULL]: diskFaults.full,
  [sqlite3.BUSY]: busy,
  [sqlite3.LOCKED]: busy,
  [sqlite3.IOERR]: diskFaults.broken,
  [sqlite3.NOMEM]: { rule: 'out-of-memory', hint: `the machine is out of memory; ${retryHint}` },
  [sqlite3.READONLY]: diskFaults.notOurs,
  [sqlite3.PERM]: diskFaults.notOurs,
  [sqlite3.CANTOPEN]: { rule: 'not-writable', hint: 'check that the data directory exists and belongs to the user of the service' },
  [sqlite3.PROTOCOL]: { rule: 'file-locks', hint: 'the file system does not lock files as SQLite needs it: use a local disk' },
  [sqlite3.CORRUPT]: damaged,
  [sqlite3.NOTADB]: damaged,
};

/** The SQLite number of an error, or that of the error which caused it; 0 for anything else. */
export function errorNumber(thrown: unknown): number {
  if (thrown instanceof HostError) return errorNumber(thrown.cause);
  const errno = thrown instanceof Error && 'errno' in thrown ? thrown.errno : 0;
  return typeof errno === 'number' ? errno & 0xff : 0;
}

/** What the disk, the file system or another program did becomes `storage-unavailable`; what a statement did wrong stays as it is. */
export function asStorageError(thrown: unknown): unknown {
  const cause = causes[errorNumber(thrown)];
  if (cause === undefined || thrown instanceof HostError) return thrown;
  const word = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown';
  return new HostError('storage-unavailable', `the database cannot be used: ${word}`, { ...cause, sqlite: word }, { cause: thrown });
}

/** One connection behind promises. Its statements run one after the other: two in flight would each block a thread of the pool. */
export async function openConnection(file: string, mode: number): Promise<Connection> {
  const handle = await openHandle(file, mode);
  const statements = new Map<string, Promise<sqlite3.Statement>>();
  let last: Promise<unknown> = Promise.resolve();

  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = last.then(task);
    last = result.catch(() => undefined);
    return result;
  }

  /** Only called in turn, so that no statement is finalized while it runs. */
  function prepare(sql: string): Promise<sqlite3.Statement> {
    const known = statements.get(sql);
    statements.delete(sql);
    const statement = known ?? prepareStatement(handle, sql);
    statements.set(sql, statement);
    if (!known) statement.catch(() => statements.delete(sql));
    const [oldest] = statements;
    if (statements.size > mostStatements && oldest) {
      statements.delete(oldest[0]);
      oldest[1].then((old) => old.finalize()).catch(() => undefined);
    }
    return statement;
  }

  const run: Sql['run'] = (sql, params = []) =>
    inTurn(async () => {
      const statement = await prepare(sql);
      return new Promise((resolve, reject) => {
        statement.run(params, function (error) {
          error ? reject(asStorageError(error)) : resolve({ changes: this.changes, lastId: this.lastID });
        });
      });
    });

  function all<T = Row>(sql: string, params: readonly unknown[] = []): Promise<T[]> {
    return inTurn(async () => {
      const statement = await prepare(sql);
      return new Promise<T[]>((resolve, reject) => {
        statement.all<T>(params, (error, rows) => (error ? reject(asStorageError(error)) : resolve(rows)));
      });
    });
  }

  return {
    run,
    all,
    // The package's own `get` leaves the statement open, and with it an old snapshot.
    get: async <T = Row>(sql: string, params?: readonly unknown[]) => (await all<T>(sql, params))[0],
    exec: (sql) =>
      inTurn(() => new Promise((resolve, reject) => handle.exec(sql, (error) => (error ? reject(asStorageError(error)) : resolve())))),
    close: () =>
      inTurn(async () => {
        for (const statement of statements.values()) await statement.then(finalize).catch(() => undefined);
        await new Promise<void>((resolve, reject) => handle.close((error) => (error ? reject(asStorageError(error)) : resolve())));
      }),
  };
}

function openHandle(file: string, mode: number): Promise<sqlite3.Database> {
  return new Promise((resolve, reject) => {
    const handle = new sqlite3.Database(file, mode, (error) => (error ? reject(asStorageError(error)) : resolve(handle)));
  });
}

function prepareStatement(handle: sqlite3.Database, sql: string): Promise<sqlite3.Statement> {
  return new Promise((resolve, reject) => {
    const statement = handle.prepare(sql, (error) => (error ? reject(asStorageError(error)) : resolve(statement)));
  });
}

const finalize = (statement: sqlite3.Statement): Promise<void> => new Promise((resolve) => statement.finalize(() => resolve()));
