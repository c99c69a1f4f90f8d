import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { noFailpoints, type Reach } from './failpoints.ts';

/** Makes a file that must not exist yet, not even as a link, readable by its owner only, and durable once its directory is synced. */
export async function createPrivateFile(file: string, text: string, reach: Reach = noFailpoints.reach): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const handle = await open(file, flags, 0o600);
  try {
    await handle.writeFile(text);
    reach('file.written');
    await handle.sync();
    reach('file.synced');
  } finally {
    await handle.close();
  }
}

/** A name is durable only when its directory is. */
export const syncDirectory = (directory: string): Promise<void> => sync(directory, 'r');

/** Of a file that something else has written. */
export const syncFile = (file: string): Promise<void> => sync(file, 'r+');

async function sync(path: string, flags: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A reader sees the old text or the new one, never a part, whatever is cut off when. */
export async function replaceFile(file: string, text: string, reach: Reach = noFailpoints.reach): Promise<void> {
  const beside = `${file}.new`;
  await rm(beside, { force: true }); // left by a crash
  await createPrivateFile(beside, text, reach);
  await rename(beside, file);
  reach('file.renamed');
  await syncDirectory(dirname(file));
  reach('file.durable');
}
