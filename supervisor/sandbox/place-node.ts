import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { originFile, removeStaleCopies, setAside } from './node-copies.ts';
import { makeOwnFolder, requireOwnFolder, runtimeFolder } from './root-folder.ts';

/**
 * Copies Node once to where every uid can reach it, and returns the copy's path. Root only: the folders are root's and writable by nobody
 * else, so a copy that is there under the right name is the right one. Copies whose Node is gone are removed when another is made.
 */
export async function placeNode(nodePath: string, root = runtimeFolder): Promise<string> {
  await makeOwnFolder(root, 0o755);
  const { key, size } = await identifyNode(nodePath);
  const folder = join(root, key);
  const placed = join(folder, 'node');
  if (await isWholeCopy(folder, size)) return placed;

  await removeStaleCopies(root, async (origin) => (await identifyNode(origin)).key);
  const draft = await mkdtemp(join(root, '.draft-'));
  try {
    await writeFile(join(draft, originFile), nodePath, { flag: 'wx', mode: 0o600 });
    await copyFile(nodePath, join(draft, 'node'), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await chmod(join(draft, 'node'), 0o755);
    await chmod(draft, 0o755);
    await takeName(draft, folder, size);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return placed;
}

async function takeName(draft: string, folder: string, size: bigint): Promise<void> {
  try {
    await rename(draft, folder);
  } catch {
    if (await isWholeCopy(folder, size)) return; // another service was faster; its copy is as good
    await setAside(folder);
    await rename(draft, folder);
  }
}

/** Naming by what identifies the file saves hashing 150 MB at each start; a Node that was replaced has another time. */
async function identifyNode(nodePath: string): Promise<{ key: string; size: bigint }> {
  const { dev, ino, size, mtimeNs } = await stat(nodePath, { bigint: true });
  const key = createHash('sha256').update([nodePath, dev, ino, size, mtimeNs].join('\0')).digest('hex').slice(0, 32);
  return { key, size };
}

async function isWholeCopy(folder: string, size: bigint): Promise<boolean> {
  try {
    await requireOwnFolder(folder);
    const file = await lstat(join(folder, 'node'), { bigint: true });
    return file.isFile() && file.uid === BigInt(process.getuid?.() ?? -1) && file.size === size && (file.mode & 0o022n) === 0n;
  } catch {
    return false;
  }
}
