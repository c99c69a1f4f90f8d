import { chmod, lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../protocol/errors.ts';
import { syncDirectory } from './durable-file.ts';
import type { createStopList } from './stop-list.ts';

/** The data directory belongs to the service's user and to nobody else. */
export async function prepareDataDir(dataDir: string, uid: number): Promise<void> {
  const made = await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const found = await lstat(dataDir);
  if (!found.isDirectory() || found.uid !== uid)
    throw new HostError('invalid-params', 'the data directory is not a folder of the service’s user', {
      hint: 'chown it to that user, or choose another LATTICE_DATA_DIR',
    });
  await keepName(dataDir, made);
  if ((found.mode & 0o077) === 0) return;
  // Only a folder that is new or our own is closed to others: it might be /tmp.
  const names = await readdir(dataDir);
  if (names.length > 0 && !names.includes('lattice.db'))
    throw new HostError('invalid-params', 'the data directory can be read by others and holds files that are not the service’s', {
      hint: 'chmod 700 it if it is meant, or choose another LATTICE_DATA_DIR',
    });
  await chmod(dataDir, 0o700);
}

/** A power cut takes a folder whose name is not synced, with all that is synced in it. The start that made it may have been cut off before. */
async function keepName(dataDir: string, made: string | undefined): Promise<void> {
  for (let folder = dirname(dataDir); ; folder = dirname(folder)) {
    await syncDirectory(folder).catch(() => {}); // another's folder that we may enter and not read: then it was not we who made this one
    if (made === undefined || folder.length < made.length) return;
  }
}

/** Tells others where the service listens, for as long as it does. */
export async function tellAddress(dataDir: string, url: string, stops: ReturnType<typeof createStopList>): Promise<void> {
  const file = join(dataDir, 'address');
  await writeFile(`${file}.new`, `${url}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
  stops.add(() => rm(file, { force: true })); // whoever gets the port next must not be sent a token
}
