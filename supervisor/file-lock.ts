import { open } from 'node:fs/promises';
import { type Connection, errorNumber, openConnection, openModes } from './sqlite-connection.ts';

const sqliteBusy = 5;

export type FileLock = { release(): Promise<void> };

/**
 * Takes a file for this process, or null when it is another's, another lock of this process included. The lock is an exclusive transaction
 * on an empty database: the kernel frees it with the process, however that ends, so nothing stale is ever left to judge.
 */
export async function lockFile(file: string): Promise<FileLock | null> {
  await createOnce(file);
  const connection = await openConnection(file, openModes.write);
  try {
    await connection.all('PRAGMA busy_timeout = 0');
    await connection.run('BEGIN EXCLUSIVE');
  } catch (error) {
    await connection.close().catch(() => undefined);
    if (errorNumber(error) === sqliteBusy) return null;
    throw error;
  }
  return { release: () => releaseLock(connection) };
}

/** Made only when there is none: to open and close the file again would drop the lock that this very process may hold. */
async function createOnce(file: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600); // who can read it could lock it
    await handle.close();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

async function releaseLock(connection: Connection): Promise<void> {
  await connection.run('ROLLBACK');
  await connection.close();
}
