import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../protocol/errors.ts';
import { type Connection, errorNumber, openConnection, openModes } from './sqlite-connection.ts';

const sqliteBusy = 5;

/**
 * One service per data directory. The lock is an exclusive transaction on an empty database of its own: the kernel frees it with the
 * process, however that ends, so nothing stale is ever left to judge.
 */
export async function lockDataDir(dataDir: string): Promise<{ release(): Promise<void> }> {
  const file = join(dataDir, 'lattice.lock');
  await createOnce(file);
  const connection = await openConnection(file, openModes.write);
  try {
    await connection.all('PRAGMA busy_timeout = 0');
    await connection.run('BEGIN EXCLUSIVE');
  } catch (error) {
    await connection.close().catch(() => undefined);
    throw errorNumber(error) === sqliteBusy ? heldError() : error;
  }
  return { release: () => releaseLock(connection) };
}

/** Made only when there is none: to open and close the file again would drop the lock that this very process may hold. */
async function createOnce(file: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600); // who can read it could lock it
    await handle.close();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    const hint = 'check that the data directory exists and belongs to the user of the service';
    throw new HostError('storage-unavailable', 'the data directory cannot be locked', { hint }, { cause: error });
  }
}

async function releaseLock(connection: Connection): Promise<void> {
  await connection.run('ROLLBACK');
  await connection.close();
}

const heldError = (): HostError =>
  new HostError('conflict', 'another process uses this data directory', {
    rule: 'data-directory-in-use',
    hint: 'stop the other service, or give this one a LATTICE_DATA_DIR of its own',
  });
