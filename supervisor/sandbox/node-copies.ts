import { lstat, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Beside each copy of Node: the path of the one it was made from. */
export const originFile = 'origin';

const copyName = /^[0-9a-f]{32}$/;
const passingName = /^\.(?:draft|aside)-/;
const passingMs = 10 * 60_000; // to copy 150 MB takes a second; what is left after this was cut off

/**
 * Removes copies that no service will ask for again, 150 MB each where `/run` is often memory: those whose Node was replaced or removed
 * since, unless a process still runs from them. A service that is left without its copy makes it anew with the probe after the start that failed.
 *
 * @param nameOf The name under which a copy of the Node at this path would lie; rejects with `ENOENT` or `ENOTDIR` when there is none.
 */
export async function removeStaleCopies(root: string, nameOf: (origin: string) => Promise<string>, procRoot = '/proc'): Promise<void> {
  const names = await readdir(root);
  for (const name of names.filter((each) => passingName.test(each))) await removePassing(join(root, name));
  const stale: string[] = [];
  for (const name of names.filter((each) => copyName.test(each))) if (await isStale(join(root, name), name, nameOf)) stale.push(name);
  if (stale.length === 0) return;
  const running = await runningFiles(procRoot);
  for (const name of stale) if (!running.has(await identityOf(join(root, name, 'node')))) await setAside(join(root, name));
}

/** Takes a folder away from its name in one step, then removes it: no service ever sees half of it. */
export async function setAside(folder: string): Promise<void> {
  const aside = await mkdtemp(join(folder, '../.aside-'));
  await rename(folder, join(aside, 'copy')).catch(ignoreAbsence);
  await rm(aside, { recursive: true, force: true });
}

async function isStale(folder: string, name: string, nameOf: (origin: string) => Promise<string>): Promise<boolean> {
  try {
    return (await nameOf(await readFile(join(folder, originFile), 'utf8'))) !== name;
  } catch (error) {
    return isAbsence(error); // a disk that does not answer says nothing about what is on it
  }
}

async function removePassing(folder: string): Promise<void> {
  const found = await lstat(folder).catch(() => null);
  if (found !== null && Date.now() - found.mtimeMs > passingMs) await rm(folder, { recursive: true, force: true });
}

async function runningFiles(procRoot: string): Promise<Set<string | null>> {
  const pids = (await readdir(procRoot)).filter((name) => /^\d+$/.test(name));
  const files = new Set(await Promise.all(pids.map((pid) => identityOf(join(procRoot, pid, 'exe')))));
  files.delete(null); // ended since, or a thread of the kernel
  return files;
}

/** What tells a file from all others, whatever its path looks like from another mount namespace. */
async function identityOf(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  return found && `${found.dev}:${found.ino}`;
}

const isAbsence = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

function ignoreAbsence(error: unknown): void {
  if (!isAbsence(error)) throw error;
}
