import sqlite3 from 'sqlite3';
import { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import type { Head } from './audit-chain.ts';
import type { Clock } from './clock.ts';
import type { StorageFault } from './commit-faults.ts';
import { prepareDatabaseFile } from './database-file.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import { openGroupCommit } from './group-commit.ts';
import type { KvPut } from './kv-rows.ts';
import type { Log } from './log.ts';
import { listMigrations, migrate, migrationsDir, readSchemaVersion } from './migrate.ts';
import { type Connection, openConnection, openModes } from './sqlite-connection.ts';
import { keepBeforeMigration } from './storage/back-up.ts';

export type Row = Record<string, unknown>;
export type Sql = {
  run(sql: string, params?: readonly unknown[]): Promise<{ changes: number; lastId: number }>;
  all<T = Row>(sql: string, params?: readonly unknown[]): Promise<T[]>;
  get<T = Row>(sql: string, params?: readonly unknown[]): Promise<T | undefined>;
};
/** What a job may use until its promise settles. */
export type Tx = Sql & {
  /** The row commits with what the job wrote, or not at all. */
  audit(row: AuditEntry): void;
  /** Changes of entries. They may wait until the job has ended, and are then one statement with its audit rows. */
  put(changes: KvPut): Promise<void>;
  reach: Reach;
};

/** `soon`: nobody waits for the row; it may share a commit with what comes within some milliseconds. */
export type When = 'now' | 'soon';

export type Database = {
  /** A connection of its own that sees what is committed. */
  read: Sql;
  /**
   * Queued jobs share one transaction, a savepoint each, and resolve after its commit. A job that throws is rolled back alone. It holds
   * up every other writer while it runs, so it awaits nothing but its own SQL, and never another `write`.
   */
  write<T>(job: (tx: Tx) => Promise<T>): Promise<T>;
  /** An audit row outside any job. Resolves when it is durable; a caller that does not wait need not catch. */
  append(entry: AuditEntry, when?: When): Promise<void>;
  /** The last committed row of the chain; seq 0 when there is none. */
  head(): Head;
  /** Transactions committed since it was opened. */
  commits(): number;
  /** Why the last commit failed; null once one has worked again. */
  fault(): StorageFault | null;
  /** Commits what is queued. Later writes are refused. */
  close(): Promise<void>;
};

const oldestSqlite = 3_051_003; // the versions before it can corrupt a WAL database when two connections reset the log at once
const checkpointPages = 2000; // 8 MiB of log: fewer copies of the pages that every batch touches, still a short checkpoint
const busyMs = 5000; // how long another program, a backup for instance, may hold the database before an ask fails

type Deps = { file: string; clock: Clock; log: Log; reach: Reach };

export async function openDatabase(options: Omit<Deps, 'reach'> & Partial<Deps>): Promise<Database> {
  const deps: Deps = { reach: noFailpoints.reach, ...options };
  if (sqlite3.VERSION_NUMBER < oldestSqlite) {
    throw new HostError('unavailable', `SQLite ${sqlite3.VERSION} is too old`, {
      hint: 'install the locked version of the sqlite3 package',
    });
  }
  await prepareDatabaseFile(deps.file, deps.reach);
  const opened: Connection[] = [];
  try {
    const writer = await openConnection(deps.file, openModes.write);
    opened.push(writer);
    await writer.all(`PRAGMA busy_timeout = ${busyMs}`);
    await bringUpToDate(writer, deps);
    await configureWriter(writer);
    const reader = await openConnection(deps.file, openModes.read);
    opened.push(reader);
    await reader.all(`PRAGMA busy_timeout = ${busyMs}`);
    return await compose(writer, reader, deps);
  } catch (error) {
    for (const connection of opened) await connection.close().catch(() => undefined);
    throw error;
  }
}

async function bringUpToDate(writer: Connection, { file, log, reach }: Deps): Promise<void> {
  const version = await readSchemaVersion(writer);
  const isOld = version > 0 && version < (await listMigrations(migrationsDir)).length;
  const kept = isOld ? await keepBeforeMigration(file, writer, version) : null;
  const { from, to } = await migrate(writer, migrationsDir, reach);
  if (from !== to) log.info('database.migrated', { from, to, kept });
}

async function configureWriter(writer: Connection): Promise<void> {
  const [mode] = await writer.all<{ journal_mode: string }>('PRAGMA journal_mode = WAL');
  if (mode?.journal_mode !== 'wal') {
    throw new HostError('storage-unavailable', 'the file system of the data directory cannot hold a write-ahead log', {
      hint: 'put the data directory on a local disk',
    });
  }
  const pragmas = ['synchronous = FULL', 'foreign_keys = ON', 'trusted_schema = OFF'];
  // Without recursive triggers an INSERT OR REPLACE would delete an audit row and fire no trigger.
  pragmas.push('recursive_triggers = ON', `wal_autocheckpoint = ${checkpointPages}`, 'journal_size_limit = 67108864');
  for (const pragma of pragmas) await writer.all(`PRAGMA ${pragma}`);
}

async function compose(writer: Connection, reader: Connection, deps: Deps): Promise<Database> {
  const group = await openGroupCommit({ ...deps, connection: writer });
  let closing: Promise<void> | undefined;

  async function shut(): Promise<void> {
    await group.end();
    await reader.close();
    // A full disk may refuse the checkpoint: the log stays, and the next start reads it.
    await writer
      .all('PRAGMA wal_checkpoint(TRUNCATE)')
      .catch((error) => deps.log.warn('database.checkpoint.failed', { error: String(error) }));
    await writer.close();
  }

  return {
    read: { run: reader.run, all: reader.all, get: reader.get },
    write: group.write,
    append: group.append,
    head: group.head,
    commits: group.commits,
    fault: group.fault,
    close() {
      closing ??= shut();
      return closing;
    },
  };
}
