import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

export class BundleFault extends Error {
  readonly code: string;
  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}

const chunkBytes = 1024 * 1024; // measured: blocking reads of this size hash fastest in a worker thread

/**
 * Opens a file of a bundle for reading without following a link and without waiting for a FIFO's other end; what is opened is looked at
 * through the descriptor, so it cannot change its kind any more.
 */
function openRegular(path: string, name: string): number {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new BundleFault('missing-file', `${name} is missing`);
    if (code === 'ELOOP') throw new BundleFault('not-a-regular-file', `${name} is a link`);
    throw new BundleFault('unreadable', `${name} cannot be opened (${code ?? 'error'})`);
  }
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw new BundleFault('not-a-regular-file', `${name} is not a regular file`);
}

/** Reads a whole small file, at most `mostBytes`, however it grows meanwhile. */
export function readCapped(path: string, name: string, mostBytes: number): Buffer {
  const descriptor = openRegular(path, name);
  try {
    const parts: Buffer[] = [];
    let total = 0;
    for (;;) {
      const part = Buffer.alloc(Math.min(chunkBytes, mostBytes + 1 - total));
      const count = readSync(descriptor, part, 0, part.length, null);
      if (count === 0) return Buffer.concat(parts);
      total += count;
      if (total > mostBytes) throw new BundleFault('file-too-large', `${name} is over ${mostBytes} bytes`);
      parts.push(part.subarray(0, count));
    }
  } finally {
    closeSync(descriptor);
  }
}

/** Hashes a large file in pieces, and hands each piece on: the digest is of exactly the bytes that were handed on. */
export function hashFile(path: string, name: string, mostBytes: number, onPart: (bytes: Buffer) => void = () => {}): FileDigest {
  const descriptor = openRegular(path, name);
  try {
    const digest = createHash('sha256');
    const part = Buffer.allocUnsafe(chunkBytes);
    let sizeBytes = 0;
    for (;;) {
      const count = readSync(descriptor, part, 0, chunkBytes, null);
      if (count === 0) return { sha256: digest.digest('hex'), sizeBytes };
      sizeBytes += count;
      if (sizeBytes > mostBytes) throw new BundleFault('file-too-large', `${name} is over ${mostBytes} bytes`);
      const bytes = part.subarray(0, count);
      digest.update(bytes);
      onPart(bytes);
    }
  } finally {
    closeSync(descriptor);
  }
}
export type FileDigest = { sha256: string; sizeBytes: number };

/**
 * Opens a bundle's folder without following a link and runs a job on it. The files are reached through the open folder, so that it stays the
 * same one, whatever is put in its place meanwhile.
 */
export async function inFolder<Result>(path: string, job: (at: (name: string) => string) => Result | Promise<Result>): Promise<Result> {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new BundleFault('missing-file', 'the folder is gone');
    if (code === 'ENOTDIR' || code === 'ELOOP') throw new BundleFault('not-a-folder', 'a bundle is a folder, not a link or a file');
    throw new BundleFault('unreadable', `the folder cannot be opened (${code ?? 'error'})`);
  }
  try {
    return await job((name) => `/proc/self/fd/${descriptor}/${name}`);
  } finally {
    closeSync(descriptor);
  }
}
