import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { manifestLimits } from '../protocol/manifest.ts';

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

/**
 * Hashes the artifact, and copies it while doing so unless `to` is null: the digest is of exactly the bytes that were written, and they are
 * on the disk when this returns.
 */
export function hashArtifact(path: string, to: string | null): string {
  const from = openRegular(path, 'artifact');
  const copy = to === null ? null : openSync(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o400);
  try {
    const digest = createHash('sha256');
    const part = Buffer.allocUnsafe(chunkBytes);
    let total = 0;
    for (;;) {
      const count = readSync(from, part, 0, chunkBytes, null);
      if (count === 0) break;
      total += count;
      if (total > manifestLimits.artifactBytes)
        throw new BundleFault('file-too-large', `artifact is over ${manifestLimits.artifactBytes} bytes`);
      const bytes = part.subarray(0, count);
      digest.update(bytes);
      if (copy !== null) for (let written = 0; written < count; ) written += writeSync(copy, bytes, written);
    }
    if (copy !== null) fsyncSync(copy);
    return digest.digest('hex');
  } finally {
    closeSync(from);
    if (copy !== null) closeSync(copy);
  }
}
