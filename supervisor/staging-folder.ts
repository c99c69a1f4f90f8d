import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** A new file that only the service may read, and nobody may write once it is closed. */
export function createFile(path: string, mode: 0o400 | 0o500): { write(bytes: Uint8Array): void; end(): void; abandon(): void } {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode);
  let isOpen = true;
  function abandon(): void {
    if (isOpen) closeSync(descriptor);
    isOpen = false;
  }
  return {
    write(bytes) {
      for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
    },
    end() {
      fsyncSync(descriptor);
      abandon();
    },
    abandon,
  };
}

export function writeDurably(path: string, bytes: Uint8Array): void {
  const file = createFile(path, 0o400);
  try {
    file.write(bytes);
    file.end();
  } finally {
    file.abandon();
  }
}

export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Every folder below and itself, deepest first; a link is not followed. */
function foldersOf(root: string): string[] {
  const below = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...below.flatMap(({ name }) => foldersOf(join(root, name))), root];
}

/** Makes a whole tree durable and takes away the right to write into its folders. */
export function sealTree(root: string): void {
  for (const folder of foldersOf(root)) {
    syncFolder(folder);
    chmodSync(folder, 0o500);
  }
}

/** Removes whatever stands at a path: a tree of read-only folders, or a link that somebody put there. */
export function removeTree(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isDirectory()) return unlinkSync(path);
  openTree(path);
  rmSync(path, { recursive: true, force: true });
}

/** Gives back the right to write into a tree's folders; what a link points at is left alone. */
export function openTree(root: string): void {
  chmodSync(root, 0o700);
  for (const entry of readdirSync(root, { withFileTypes: true })) if (entry.isDirectory()) openTree(join(root, entry.name));
}

/** A folder of staging that is being filled; what is still there at the end is removed. */
export async function withIncoming<Result>(staging: string, fill: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(staging, incomingPrefix));
  try {
    return await fill(folder);
  } finally {
    removeTree(folder);
  }
}
export const incomingPrefix = '.incoming-';
