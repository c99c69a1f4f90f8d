import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeOwnFolder, requireOwnFolder, runtimeFolder } from './root-folder.ts';

/**
 * Copies Node once to where every uid can reach it, and returns the copy's path. Root only: the folders are root's and writable by nobody
 * else, so a copy that is there under the right name is the right one.
 */
export async function placeNode(nodePath: string, root = runtimeFolder): Promise<string> {
  await makeOwnFolder(root, 0o755);
  const source = await stat(nodePath, { bigint: true });
  // Naming by what identifies the file saves hashing 150 MB at each start; a Node that was replaced has another time.
  const key = createHash('sha256')
    .update([nodePath, source.dev, source.ino, source.size, source.mtimeNs].join('\0'))
    .digest('hex')
    .slice(0, 32);
  const folder = join(root, key);
  const placed = join(folder, 'node');
  if (await isWholeCopy(folder, placed, source.size)) return placed;

  const draft = await mkdtemp(join(root, '.draft-'));
  try {
    await copyFile(nodePath, join(draft, 'node'), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await chmod(join(draft, 'node'), 0o755);
    await chmod(draft, 0o755);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another service may have been faster; its copy is as good.
    if (!(await isWholeCopy(folder, placed, source.size))) throw error;
  }
  return placed;
}

async function isWholeCopy(folder: string, placed: string, size: bigint): Promise<boolean> {
  try {
    await requireOwnFolder(folder);
    const file = await lstat(placed, { bigint: true });
    return file.isFile() && file.uid === BigInt(process.getuid?.() ?? -1) && file.size === size && (file.mode & 0o022n) === 0n;
  } catch {
    return false;
  }
}
