import { createHash } from 'node:crypto';
import { basename, resolve } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Chunk, FeedSource } from './feed-source.ts';
import { type FileCursor, parseFileCursor, writeFileCursor } from './file-cursor.ts';
import { isSameInode, locateFile, locateNext, locateStart, type Place, statOrNull } from './locate-file.ts';
import { openTail, type Tail } from './tail-file.ts';
import { createChangeWatch } from './watch-changes.ts';

export type FollowOptions = {
  path: string;
  cursor: string | null;
  /** Without a cursor: begin at the start of the file instead of its end. */
  fromStart?: boolean;
  signal: AbortSignal;
  clock: Clock;
  log: Log;
  onBatch(chunk: Chunk): Promise<void>;
  pollMs?: number;
  maxLineBytes?: number;
};

const defaults = { pollMs: 1000, maxLineBytes: 16 * 1024 } as const; // sshd's own messages stay under 2 KiB
const passing: ReadonlySet<unknown> = new Set(['ENOENT', 'EACCES', 'EPERM', 'ENOTDIR']);

/** A log file as a source. Its label holds the file's name and a hash of its folder, so that no path reaches the plugin. */
export function createFileSource({
  path,
  ...options
}: Pick<FollowOptions, 'path' | 'fromStart' | 'clock' | 'log' | 'pollMs' | 'maxLineBytes'>): FeedSource {
  const digest = createHash('sha256').update(resolve(path)).digest('hex').slice(0, 8);
  return {
    label: `file:${basename(path).slice(0, 100)}:${digest}`,
    read: ({ onChunk, ...rest }) => followFile({ path, ...options, ...rest, onBatch: onChunk }),
  };
}

/**
 * Reads the lines of a growing file until the signal is aborted, through rotation by renaming or by copying and truncating. A rotated
 * file is read to its end before the next one is begun; a line without its line break waits for it.
 */
export async function followFile({
  path,
  cursor,
  fromStart = false,
  signal,
  clock,
  log,
  onBatch,
  ...options
}: FollowOptions): Promise<void> {
  const { pollMs, maxLineBytes } = { ...defaults, ...dropUndefined(options) };
  let at: FileCursor | null = cursor === null ? null : parseFileCursor(cursor);
  const changes = createChangeWatch(path, { clock, pollMs, signal });
  const take: Take = async (lines, cut) => {
    if (cut > 0) log.warn('feed.lines-cut', { path, lines: cut, keptBytes: maxLineBytes });
    const last = lines.at(-1);
    if (last) await onBatch({ lines, cursor: last.cursor });
  };
  const open = createOpener(path, maxLineBytes, log);
  let next: Place | null = null;
  let sawNone = false; // a file that appears later is new from its first line
  try {
    while (!signal.aborted) {
      const place: Place | null =
        next ?? (await (at === null ? locateStart(path, fromStart || sawNone) : locateFile(path, at)).catch(explain));
      const isNext = next !== null;
      next = null;
      await using tail: Tail | null = place && (await open(place, at === null && !sawNone));
      if (!tail) {
        sawNone = true;
        await changes.wait();
        continue;
      }
      if (at !== null && (place?.offset ?? 0) > 0 && !tail.beginsAs(at)) {
        continue; // another file took the name between looking and opening
      }
      if (place?.lost) log.warn('feed.gap', { path, reason: 'the file that was being read is gone; lines at its end may be missing' });
      // A place that no line led to: it is kept, so that the next run begins there too.
      if (at === null || (!isNext && place?.offset !== at.offset)) await onBatch({ lines: [], cursor: writeFileCursor(tail.cursor()) });
      ({ at, next } = await followTail(tail, { path, changes, take, signal }));
    }
  } finally {
    changes.close();
  }
}

type Take = Parameters<Tail['read']>[0];
type Following = { path: string; changes: ReturnType<typeof createChangeWatch>; take: Take; signal: AbortSignal };

/** Follows one open file until another one takes its place, and says where that one is, if it is known. */
async function followTail(tail: Tail, { path, changes, take, signal }: Following): Promise<{ at: FileCursor; next: Place | null }> {
  while (!signal.aborted) {
    if ((await tail.read(take, signal)) === 'replaced') break;
    const next = await findSuccessor(tail, path);
    if (next) {
      // The writer has begun the next file, so it is done with this one: what came meanwhile is the last of it.
      if ((await tail.read(take, signal)) === 'replaced') break;
      await tail.finish(take);
      return { at: tail.cursor(), next };
    }
    await changes.wait();
  }
  return { at: tail.cursor(), next: null };
}

async function findSuccessor(tail: Tail, path: string): Promise<Place | null> {
  const info = await statOrNull(path).catch(() => null);
  return info === null || isSameInode(info, tail.inode()) ? null : locateNext(path, tail.cursor());
}

/** Opens a place; null when that is not possible now. At the very start a lack of rights is told instead of waited out. */
function createOpener(path: string, maxLineBytes: number, log: Log) {
  let told = false;
  return async (place: Place, isStart: boolean): Promise<Tail | null> => {
    try {
      const tail = await openTail(place.path, place.offset, maxLineBytes);
      told = false;
      return tail;
    } catch (error) {
      const code = (error as { code?: unknown } | null)?.code;
      if (!passing.has(code)) throw error;
      if (isStart && code !== 'ENOENT') explain(error);
      if (code !== 'ENOENT' && !told) log.warn('feed.not-readable', { path, code });
      told ||= code !== 'ENOENT';
      return null;
    }
  };
}

function explain(error: unknown): never {
  const code = (error as { code?: unknown } | null)?.code;
  if (code !== 'EACCES' && code !== 'EPERM') throw error;
  throw new HostError(
    'forbidden',
    'the log file cannot be read by this user',
    { hint: 'run the feed as a user of the group that owns the log (adm on Debian), or as root' },
    { cause: error },
  );
}

const dropUndefined = (options: Pick<FollowOptions, 'pollMs' | 'maxLineBytes'>) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
