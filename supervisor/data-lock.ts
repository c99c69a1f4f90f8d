import { join } from 'node:path';
import { HostError } from '../protocol/errors.ts';
import { type FileLock, lockFile } from './file-lock.ts';

/** One service per data directory. */
export async function lockDataDir(dataDir: string): Promise<FileLock> {
  const lock = await lockFile(join(dataDir, 'lattice.lock')).catch((error: unknown) => {
    if (error instanceof HostError) throw error;
    const hint = 'check that the data directory exists and belongs to the user of the service';
    throw new HostError('storage-unavailable', 'the data directory cannot be locked', { hint }, { cause: error });
  });
  if (lock) return lock;
  throw new HostError('conflict', 'another process uses this data directory', {
    rule: 'data-directory-in-use',
    hint: 'stop the other service, or give this one a LATTICE_DATA_DIR of its own',
  });
}
