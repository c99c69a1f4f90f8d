import { closeSync, ftruncateSync, linkSync, lstatSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { removeTree } from '../../supervisor/staging-folder.ts';

const headerBytes = 48;
const magic = 0x4b534944;
const kinds = ['', 'write', 'truncate', 'create', 'remove', 'rename', 'sync'] as const;
type Kind = Exclude<(typeof kinds)[number], ''>;
/** One call of the journal; what the fields mean is told beside `note` in disk.c. `a`: what was there before, or a name. */
type Call = { kind: Kind; ino: number; ino2: number; offset: number; size: number; a: Buffer; b: Buffer };
export type PowerCut = { calls: number; unsynced: number; kept: number };

/** The last call may be cut off: then it was never made. */
function readJournal(file: string): Call[] {
  const bytes = readFileSync(file);
  const calls: Call[] = [];
  for (let at = 0; at + headerBytes <= bytes.length; ) {
    const [a, b] = [bytes.readUInt32LE(at + 40), bytes.readUInt32LE(at + 44)];
    const kind = kinds[bytes.readUInt32LE(at + 4)];
    if (bytes.readUInt32LE(at) !== magic || !kind) throw new Error(`the journal is torn at byte ${at}`);
    const body = at + headerBytes;
    if (body + a + b > bytes.length) break;
    const number = (offset: number) => Number(bytes.readBigInt64LE(at + offset));
    const [ino, ino2, offset, size] = [number(8), number(16), number(24), number(32)];
    calls.push({ kind, ino, ino2, offset, size, a: bytes.subarray(body, body + a), b: bytes.subarray(body + a, body + a + b) });
    at = body + a + b;
  }
  return calls;
}

/** A sync makes durable what was done to that inode before it: the bytes of a file, the names in a folder. */
function findUnsynced(calls: readonly Call[]): Call[] {
  const pending = new Map<number, Call[]>();
  const unsynced = new Set<Call>();
  for (const call of calls) {
    if (call.kind === 'sync') {
      for (const done of pending.get(call.ino) ?? []) unsynced.delete(done);
      pending.delete(call.ino);
      continue;
    }
    const waiting = pending.get(call.ino) ?? [];
    waiting.push(call);
    pending.set(call.ino, waiting);
    unsynced.add(call);
  }
  return calls.filter((call) => unsynced.has(call));
}

/** Where each inode lies at the moment; the buried ones as well. */
function mapInodes(folders: readonly string[]): Map<number, string> {
  const found = new Map<number, string>();
  const walk = (path: string): void => {
    const stats = lstatSync(path);
    if (!found.has(stats.ino)) found.set(stats.ino, path);
    if (stats.isDirectory()) for (const name of readdirSync(path)) walk(join(path, name));
  };
  for (const folder of folders) walk(folder);
  return found;
}

const inoAt = (path: string): number => lstatSync(path, { throwIfNoEntry: false })?.ino ?? 0;

/**
 * Leaves below `root` what a disk would hold after a power cut: all that was synced, and of the rest what `chance` lets through. `chance() < keep`
 * keeps a write of a file, or only the first sectors of it; names are kept up to one moment and lost after it. Root may do all this; another
 * user must own the files.
 */
export function cutPower(root: string, journal: string, keep = 0, chance: () => number = Math.random): PowerCut {
  const calls = readJournal(join(journal, 'journal'));
  const unsynced = findUnsynced(calls);
  const names = unsynced.filter(({ kind }) => kind !== 'write' && kind !== 'truncate');
  const keptNames = new Set(names.slice(0, keep === 0 ? 0 : Math.floor(chance() * (names.length + 1))));
  const bytes = unsynced.filter((call) => !names.includes(call));
  const places = mapInodes([root, journal]);
  for (const call of bytes.toReversed()) onFile(places, call, (fd) => restoreBytes(fd, call));
  const keptBytes = bytes.filter(() => chance() < keep);
  for (const call of keptBytes) onFile(places, call, (fd) => redo(fd, call, chance));
  for (const call of names.toReversed()) if (!keptNames.has(call)) undoName(root, journal, call);
  return { calls: calls.length, unsynced: unsynced.length, kept: keptNames.size + keptBytes.length };
}

function onFile(places: ReadonlyMap<number, string>, { ino }: Call, act: (fd: number) => void): void {
  const path = places.get(ino);
  if (path === undefined) return;
  const fd = openSync(path, 'r+');
  try {
    act(fd);
  } finally {
    closeSync(fd);
  }
}

function restoreBytes(fd: number, { offset, size, a }: Call): void {
  ftruncateSync(fd, size);
  if (a.length > 0) writeSync(fd, a, 0, a.length, offset);
}

const sector = 512;

function redo(fd: number, { kind, offset, b }: Call, chance: () => number): void {
  if (kind === 'truncate') return ftruncateSync(fd, offset);
  const length = chance() < 0.5 ? b.length : Math.min(b.length, sector * Math.floor((chance() * b.length) / sector));
  if (length > 0) writeSync(fd, b, 0, length, offset);
}

/** A name is only taken back while it stands for what the call gave it to: the call itself may never have been made. */
function undoName(root: string, journal: string, call: Call): void {
  const places = mapInodes([root, journal]);
  const folder = places.get(call.ino);
  if (folder === undefined) return;
  const path = join(folder, call.a.toString());
  if (call.kind === 'create' && inoAt(path) === call.ino2)
    removeTree(path); // what lies in a folder goes with its name, synced or not
  else if (call.kind === 'remove' && inoAt(path) === 0) exhume(join(journal, String(call.offset)), path);
  else if (call.kind === 'rename' && inoAt(path) === call.size) {
    const from = places.get(call.ino2);
    if (from !== undefined) renameSync(path, join(from, call.b.toString()));
    if (call.offset > 0) linkSync(join(journal, String(call.offset)), path);
  }
}

function exhume(grave: string, path: string): void {
  if (lstatSync(grave).isDirectory()) renameSync(grave, path);
  else linkSync(grave, path);
}
