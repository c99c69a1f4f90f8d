import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Database } from '../../supervisor/database.ts';
import { type Connection, openConnection, openModes } from '../../supervisor/sqlite-connection.ts';

/** What somebody with the file in his hands can do: a copy of the closed database, open for any statement, without the triggers. */
export async function openForgedCopy(t: Test, directory: string, database: Database): Promise<Connection> {
  await database.close();
  const copy = join(directory, 'copy.db');
  await copyFile(join(directory, 'lattice.db'), copy);
  const connection = await openConnection(copy, openModes.write);
  t.teardown(() => connection.close());
  await connection.exec('DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete');
  return connection;
}
