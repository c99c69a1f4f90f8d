import { readFile, stat } from 'node:fs/promises';
import { HostError } from '../../protocol/errors.ts';
import { type Head, holdsHead } from '../audit-chain.ts';
import { readHeadFile } from '../audit-head.ts';
import { checkDatabaseFile } from '../database-file.ts';
import { readSchemaVersion } from '../migrate.ts';
import { type Connection, errorNumber, openConnection, openModes } from '../sqlite-connection.ts';
import { judgeWal } from './judge-wal.ts';
import { findSchemaFault } from './known-schema.ts';

/** Why a database cannot be worked on, in a word for programs and in words for people. */
export type DatabaseFault = { rule: string; detail: string };
export type Inspection = { fault: DatabaseFault | null; schema: number };

const damagedNumbers: readonly number[] = [11, 26]; // SQLITE_CORRUPT and SQLITE_NOTADB
const busyMs = 5000;
// The audit is left out: it is large, nothing in it is ever changed, and its chain finds more than its indexes do.
const smallTables = [
  'plugins',
  'kv_buckets',
  'kv_entries',
  'tokens',
  'outbox',
  'consents',
  'former_bundles',
  'market_index',
  'idempotency_keys',
];
// Each finds nothing in a database that the service wrote; the first number is the schema since which it can be asked.
const mustFindNothing: readonly (readonly [number, string, string])[] = [
  [2, 'plugins', 'SELECT 1 FROM plugins WHERE NOT (json_valid(manifest) AND json_valid(config) AND json_valid(exits))'],
  [3, 'kv_entries', 'SELECT 1 FROM kv_entries WHERE bytes <> octet_length(key) + octet_length(value)'],
  [
    3,
    'kv_buckets',
    `SELECT 1 FROM kv_buckets b WHERE (keys, bytes) <> (SELECT count(*), coalesce(sum(e.bytes), 0) FROM kv_entries e WHERE e.bucket = b.bucket)
       OR revision < (SELECT coalesce(max(e.revision), 0) FROM kv_entries e WHERE e.bucket = b.bucket)`,
  ],
  [4, 'tokens', 'SELECT 1 FROM tokens WHERE NOT json_valid(scopes) OR length(hash) <> 64'],
];

/**
 * Looks at the files before anything may write to them, and writes nothing itself but what a crash left to be taken back. Throws where looking fails for another cause than
 * damage: an unknown (newer) schema, a disk that cannot be read, another program that holds the file.
 */
export async function inspectDatabase(file: string, headFile: string): Promise<Inspection> {
  const head = await readHeadFile(headFile).catch(() => null); // its own fault is told by `audit verify`
  const sizes = { main: await sizeOf(file), wal: await sizeOf(`${file}-wal`) };
  if (sizes.main === 0) return { fault: judgeAbsence(head, sizes.wal), schema: 0 };
  try {
    const header = await checkDatabaseFile(file);
    if (header) return { fault: header, schema: 0 };
    const torn = sizes.wal === 0 ? null : judgeWal(await readFile(`${file}-wal`));
    if (torn !== null) return { fault: { rule: 'damaged-log', detail: torn }, schema: 0 };
    if ((await sizeOf(`${file}-journal`)) > 0) await takeBack(file);
    const connection = await openConnection(file, openModes.read);
    try {
      await connection.all(`PRAGMA busy_timeout = ${busyMs}`);
      return await inspectContent(connection, head);
    } finally {
      await connection.close();
    }
  } catch (error) {
    if (!damagedNumbers.includes(errorNumber(error))) throw error;
    return { fault: { rule: 'damaged-database', detail: 'SQLite cannot read the database' }, schema: 0 };
  }
}

/** A change of the schema that a crash cut off: SQLite takes it back by the journal at the first read, which a reader alone may not. */
async function takeBack(file: string): Promise<void> {
  const connection = await openConnection(file, openModes.write);
  try {
    await connection.get('SELECT 1 FROM sqlite_schema');
  } finally {
    await connection.close();
  }
}

async function inspectContent(connection: Connection, head: Head | null): Promise<Inspection> {
  const schema = await readSchemaVersion(connection);
  const damaged = (detail: string): Inspection => ({ fault: { rule: 'damaged-database', detail }, schema });
  const [quick] = await connection.all<{ quick_check: string }>('PRAGMA quick_check(1)');
  if (quick?.quick_check !== 'ok') return damaged(quick?.quick_check ?? 'the check answered nothing');
  const wrong = await findSchemaFault(connection, schema);
  if (wrong !== null) return damaged(`the definition of ${wrong} is not the one of schema ${schema}`);
  for (const [since, table, sql] of mustFindNothing)
    if (schema >= since && (await connection.get(`${sql} LIMIT 1`))) return damaged(`${table} holds rows that the service did not write`);
  const indexes = await findIndexFault(connection);
  if (indexes !== null) return damaged(indexes);
  const recorded = head ?? { seq: 0, hash: '' };
  if (recorded.seq > 0 && (schema === 0 || !(await holdsHead(connection, recorded))))
    return {
      fault: {
        rule: 'audit-behind-head',
        detail: `the audit does not hold row ${recorded.seq}, which audit.head recorded: rows were lost`,
      },
      schema,
    };
  return { fault: null, schema };
}

async function findIndexFault(connection: Connection): Promise<string | null> {
  const present = await connection.all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'");
  for (const table of smallTables.filter((name) => present.some((row) => row.name === name))) {
    const [row] = await connection.all<{ integrity_check: string }>(`PRAGMA integrity_check(${table})`);
    if (row?.integrity_check !== 'ok') return row?.integrity_check ?? 'the check answered nothing';
  }
  const [stray] = await connection.all<{ table: string }>('PRAGMA foreign_key_check');
  return stray ? `${stray.table} holds a row whose other half is gone` : null;
}

/** A file that a crash left empty at the very first start holds nothing; one whose audit had rows has been lost. */
function judgeAbsence(head: Head | null, walBytes: number): DatabaseFault | null {
  if ((head?.seq ?? 0) > 0)
    return { rule: 'database-missing', detail: `the database is gone or empty, and audit.head recorded ${head?.seq} rows of its audit` };
  return walBytes > 0 ? { rule: 'database-missing', detail: 'the database is gone or empty, and its log is still there' } : null;
}

const sizeOf = async (file: string): Promise<number> =>
  stat(file).then(
    ({ size }) => size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return 0;
      throw new HostError(
        'storage-unavailable',
        `the database file cannot be looked at: ${error.code ?? 'unknown'}`,
        { hint: 'check that the data directory belongs to the user of the service' },
        { cause: error },
      );
    },
  );
