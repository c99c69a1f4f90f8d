import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../protocol/errors.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import { fillChecksums } from './kv-checksums.ts';
import type { Connection } from './sqlite-connection.ts';

export const migrationsDir = join(import.meta.dirname, 'migrations');

type Migration = { version: number; file: string };

/** What SQL alone cannot do for a step, in the step's own transaction. */
const completions: Readonly<Record<number, (connection: Connection) => Promise<void>>> = { 11: fillChecksums };

/** Brings the schema to the newest version: the files `NNN-name.sql` in order, each in a transaction that also sets the number. */
export async function migrate(
  connection: Connection,
  directory: string,
  reach: Reach = noFailpoints.reach,
): Promise<{ from: number; to: number }> {
  const steps = await listMigrations(directory);
  const newest = steps.length;
  const from = await readSchemaVersion(connection, directory);
  for (const step of steps.slice(from)) await apply(connection, join(directory, step.file), step.version, reach);
  return { from, to: newest };
}

/** The schema that the database has, which must not be newer than the program. */
export async function readSchemaVersion(connection: Pick<Connection, 'get'>, directory = migrationsDir): Promise<number> {
  const newest = (await listMigrations(directory)).length;
  const row = await connection.get<{ user_version: number }>('PRAGMA user_version');
  const version = row?.user_version ?? 0;
  if (version >= 0 && version <= newest) return version;
  throw new HostError('unavailable', `the database has schema ${version}, this version knows only up to ${newest}`, {
    rule: 'newer-schema',
    hint: 'start the version that wrote the database, or restore a backup from before the upgrade',
  });
}

async function apply(connection: Connection, file: string, version: number, reach: Reach): Promise<void> {
  const sql = await readFile(file, 'utf8');
  await connection.exec('BEGIN IMMEDIATE');
  try {
    await connection.exec(sql);
    await completions[version]?.(connection);
    await connection.exec(`PRAGMA user_version = ${version}`);
    reach('migration.applied');
    await connection.exec('COMMIT');
    reach('migration.committed');
  } catch (error) {
    await connection.exec('ROLLBACK').catch(() => undefined); // SQLite may have rolled back by itself
    throw error;
  }
}

export async function listMigrations(directory: string): Promise<Migration[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql')).sort();
  const steps = files.map((file) => ({ version: Number(/^(\d{3})-/.exec(file)?.[1]), file }));
  const stray = steps.find((step, index) => step.version !== index + 1);
  if (stray) throw new HostError('internal', `migration ${stray.file} is out of order`, { hint: 'install the package again' });
  return steps;
}
