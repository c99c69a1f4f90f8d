import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { type FileCursor, hashHead } from './file-cursor.ts';

/** Where to read on. `lost`: the file that was being read is not there any more, so lines may be missing. */
export type Place = { path: string; offset: number; lost: boolean };

type Candidate = { path: string; info: BigIntStats };

const readAtOnce = 64 * 1024;
const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

export async function statOrNull(path: string): Promise<BigIntStats | null> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}

/** The place of a first run: behind the last whole line, so that one being written is read when it is done. */
export async function locateStart(path: string, fromStart: boolean): Promise<Place | null> {
  const info = await statOrNull(path);
  if (info === null) return null;
  if (!info.isFile()) throw new HostError('invalid-params', `${path} is not a regular file`, { hint: 'name a log file' });
  return { path, offset: fromStart ? 0 : await findLineStart(path, Number(info.size)), lost: false };
}

async function findLineStart(path: string, size: number): Promise<number> {
  await using handle = await open(path, 'r');
  const from = Math.max(0, size - readAtOnce);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(readAtOnce), 0, size - from, from);
  const at = buffer.subarray(0, bytesRead).lastIndexOf(0x0a);
  return at === -1 ? (from === 0 ? 0 : size) : from + at + 1;
}

/** Where a cursor's file is now, under its own name or a rotated one; null while there is nothing to read. */
export async function locateFile(path: string, cursor: FileCursor): Promise<Place | null> {
  const rotated = await listRotated(path);
  const info = await statOrNull(path);
  const all = info?.isFile() ? [{ path, info }, ...rotated] : rotated;
  const found = await findSame(all, cursor);
  if (found) return { path: found.path, offset: Math.min(cursor.offset, Number(found.info.size)), lost: false };
  const newer = rotated.find((file) => Number(file.info.mtimeMs) > cursor.mtimeMs);
  return newer ? { path: newer.path, offset: 0, lost: true } : info && { path, offset: 0, lost: true };
}

/** The file that was begun after the cursor's, which has been read to its end; null while there is none with anything in it. */
export async function locateNext(path: string, cursor: FileCursor): Promise<Place | null> {
  const rotated = await listRotated(path);
  const info = await statOrNull(path);
  const self = rotated.findIndex((file) => isSameInode(file.info, cursor));
  const newer = self === -1 ? rotated.filter((file) => Number(file.info.mtimeMs) > cursor.mtimeMs) : rotated.slice(self + 1);
  const next = [...newer, ...(info === null || isSameInode(info, cursor) ? [] : [{ path, info }])].find((file) => file.info.size > 0n);
  return next ? { path: next.path, offset: 0, lost: false } : null;
}

export const isSameInode = (info: BigIntStats, { dev, inode }: Pick<FileCursor, 'dev' | 'inode'>): boolean =>
  String(info.ino) === inode && String(info.dev) === dev;

/** First the file with the same inode and beginning, then one with the same beginning: a copy, or a device with another number since a reboot. */
async function findSame(files: readonly Candidate[], cursor: FileCursor): Promise<Candidate | undefined> {
  const [inode, others] = [files.filter((file) => isSameInode(file.info, cursor)), files.filter((file) => !isSameInode(file.info, cursor))];
  // Of a file with the same inode and beginning that is shorter now, the end was cut off: nothing before it is read again.
  for (const file of inode) if (await hasSameHead(file.path, cursor)) return file;
  if (cursor.head.bytes === 0) return undefined;
  for (const file of others) if (Number(file.info.size) >= cursor.offset && (await hasSameHead(file.path, cursor))) return file;
  return undefined;
}

async function hasSameHead(path: string, { head }: FileCursor): Promise<boolean> {
  try {
    await using handle = await open(path, 'r');
    const bytes = await readHead(handle, head.bytes);
    return bytes.length === head.bytes && hashHead(bytes) === head.sha256;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EACCES') return false;
    throw error;
  }
}

/** The first bytes of a file; fewer when it has no more. */
export async function readHead(handle: FileHandle, length: number): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0);
  return buffer.subarray(0, bytesRead);
}

/** Rotated files of a log, the oldest first: `auth.log.1`, `auth.log-20260105`, `auth.log.old`. Compressed ones are not read. */
async function listRotated(path: string): Promise<Candidate[]> {
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => []);
  const files: Candidate[] = [];
  for (const name of names.filter((name) => isRotatedName(name, basename(path)))) {
    const info = await statOrNull(join(folder, name));
    if (info?.isFile()) files.push({ path: join(folder, name), info });
  }
  return files.sort((a, b) => Number(a.info.mtimeNs - b.info.mtimeNs) || numberOf(b.path) - numberOf(a.path) || (a.path < b.path ? -1 : 1));
}

export const isRotatedName = (name: string, base: string): boolean =>
  name.startsWith(base) && /^[.-](?:old|\d[\d.T_:-]{0,32})$/.test(name.slice(base.length));

/** Of two files last written at the same moment, `.2` is older than `.1`. */
const numberOf = (path: string): number => Number(/\.(\d{1,3})$/.exec(path)?.[1] ?? 0);
