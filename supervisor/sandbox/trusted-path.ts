import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';

const writableByOthers = 0o022;
const sticky = 0o1000;

function* chainOf(path: string): Generator<string> {
  for (let at = path; ; at = dirname(at)) {
    yield at;
    if (at === dirname(at)) return;
  }
}

/** Whether nobody but root can change the file behind this path or put another in its place. */
export function isTrusted(path: string): boolean {
  try {
    const real = realpathSync(path);
    const file = lstatSync(real);
    if (!file.isFile() || (file.mode & writableByOthers) !== 0 || file.uid !== 0) return false;
    return [...chainOf(dirname(real)), ...chainOf(dirname(path))].every((folder) => isRootOnly(statSync(folder)));
  } catch {
    return false;
  }
}

/** A sticky folder like /tmp is all right: in it nobody can rename or remove what is root's. */
const isRootOnly = (folder: Stats): boolean => folder.uid === 0 && ((folder.mode & writableByOthers) === 0 || (folder.mode & sticky) !== 0);

/** Whether any user of the host can use this file: every folder on the way open to others, and the file too. A library is only read. */
export function isReachableByOthers(path: string, use: 'execute' | 'read' = 'execute'): boolean {
  const wanted = use === 'execute' ? 0o005 : 0o004;
  try {
    const real = realpathSync(path);
    const foldersOpen = [...chainOf(dirname(real))].every((folder) => (statSync(folder).mode & 0o001) !== 0);
    return foldersOpen && (statSync(real).mode & wanted) === wanted;
  } catch {
    return false;
  }
}
