import { hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { HostError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';
import type { Row } from '../database.ts';
import { prepareDatabaseFile } from '../database-file.ts';
import { listMigrations, migrationsDir, readSchemaVersion } from '../migrate.ts';
import { type Connection, openConnection, openModes } from '../sqlite-connection.ts';
import { withReader } from './back-up.ts';

const format = 'lattice.export.v1';
const rowsPerRead = 500;

type Table = { name: string; columns: string[]; key: string[] };

/** Every row of every table as a line of JSON, from one snapshot, a page at a time. The last line counts and seals those before. */
export async function exportDatabase(file: string, write: (text: string) => Promise<void>): Promise<{ rows: number; sha256: string }> {
  return withReader(file, async (reader) => {
    await reader.run('BEGIN');
    let rows = 0;
    let sha256 = '0'.repeat(64);
    async function put(value: unknown): Promise<void> {
      const line = JSON.stringify(value);
      sha256 = hash('sha256', sha256 + line);
      await write(`${line}\n`);
    }
    await put({ format, schema: await readSchemaVersion(reader) });
    for (const table of await listTables(reader))
      for await (const row of readTable(reader, table)) {
        rows++;
        await put({ table: table.name, row });
      }
    await write(`${JSON.stringify({ end: true, rows, sha256 })}\n`);
    return { rows, sha256 };
  });
}

async function* readTable(reader: Connection, { name, columns, key }: Table): AsyncGenerator<Row> {
  const order = key.join(', ');
  let last: unknown[] | null = null;
  for (;;) {
    const where: string = last === null ? '' : `WHERE (${order}) > (${key.map(() => '?').join(', ')})`;
    const rows: Row[] = await reader.all(
      `SELECT ${columns.join(', ')} FROM ${name} ${where} ORDER BY ${order} LIMIT ${rowsPerRead}`,
      last ?? [],
    );
    for (const row of rows)
      yield Object.fromEntries(
        Object.entries(row).map(([column, value]) => [column, Buffer.isBuffer(value) ? { base64: value.toString('base64') } : value]),
      );
    const end = rows.at(-1);
    if (rows.length < rowsPerRead || end === undefined) return;
    last = key.map((column) => end[column]);
  }
}

/** Builds a database from an export, at the schema that the export has: the next start brings it up to date. */
export async function importDatabase(source: string, target: string): Promise<{ rows: number }> {
  await prepareDatabaseFile(target);
  const writer = await openConnection(target, openModes.write);
  const lines = createInterface({ input: createReadStream(source), crlfDelay: Number.POSITIVE_INFINITY });
  try {
    await writer.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE');
    const rows = await insertLines(writer, lines);
    await writer.exec('COMMIT');
    return { rows };
  } finally {
    lines.close();
    await writer.close();
  }
}

async function insertLines(writer: Connection, lines: AsyncIterable<string>): Promise<number> {
  let tables: Map<string, Table> | null = null;
  let rows = 0;
  let at = 0;
  let ended = false;
  let sha256 = '0'.repeat(64);
  for await (const line of lines) {
    at++;
    const value = parseLine(line, at);
    if (ended) throw refuse(at, 'something follows the last line');
    if (tables === null) tables = await makeTables(writer, value, at);
    else if (value.end === true) {
      if (value.rows !== rows || value.sha256 !== sha256) throw refuse(at, 'the lines are not those that were exported');
      ended = true;
    } else {
      await insertRow(writer, tables.get(String(value.table)), value.row, at);
      rows++;
    }
    sha256 = hash('sha256', sha256 + line);
  }
  if (!ended) throw refuse(at, 'the last line is missing: the export was cut off');
  return rows;
}

async function makeTables(writer: Connection, head: Row, at: number): Promise<Map<string, Table>> {
  const migrations = await listMigrations(migrationsDir);
  if (head.format !== format) throw refuse(at, `it does not begin as an export of the form ${format}`);
  const schema = Number(head.schema);
  if (!Number.isInteger(schema) || schema < 1 || schema > migrations.length)
    throw refuse(at, `its schema ${String(head.schema)} is not one that this version knows (1 to ${migrations.length})`);
  for (const step of migrations.slice(0, schema)) await writer.exec(await readFile(join(migrationsDir, step.file), 'utf8'));
  await writer.exec(`PRAGMA user_version = ${schema}`);
  return new Map((await listTables(writer)).map((table) => [table.name, table]));
}

async function insertRow(writer: Connection, table: Table | undefined, row: unknown, at: number): Promise<void> {
  if (!table || typeof row !== 'object' || row === null) throw refuse(at, 'it is not a row of a table of this schema');
  const given = Object.entries(row);
  if (given.length !== table.columns.length || given.some(([name]) => !table.columns.includes(name)))
    throw refuse(at, `its columns are not those of ${table.name}`);
  const names = given.map(([name]) => name).join(', '); // each is a column of the table, just checked
  await writer.run(
    `INSERT INTO ${table.name} (${names}) VALUES (${given.map(() => '?').join(', ')})`,
    given.map(([, value]) => decode(value)),
  );
}

const decode = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'base64' in value ? Buffer.from(String(value.base64), 'base64') : value;

async function listTables(connection: Connection): Promise<Table[]> {
  const names = await connection.all<{ name: string }>(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  );
  const tables: Table[] = [];
  for (const { name } of names) {
    const columns = await connection.all<{ name: string; pk: number }>('SELECT name, pk FROM pragma_table_info(?)', [name]);
    const key = columns.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
    tables.push({ name, columns: columns.map((column) => column.name), key: key.map((column) => column.name) });
  }
  return tables;
}

function parseLine(line: string, at: number): Row {
  try {
    const value: unknown = parseJson(line);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch {}
  throw refuse(at, 'it is not a JSON object');
}

const refuse = (line: number, detail: string): HostError =>
  new HostError('verification-failed', `line ${line} of the export: ${detail}`, { rule: 'not-an-export', line, hint: 'export it again' });
