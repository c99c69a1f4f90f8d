import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { HostError } from '../../protocol/errors.ts';
import type { FeedLine } from './feed-source.ts';
import { type FileCursor, hashHead, headBytes, writeFileCursor } from './file-cursor.ts';
import { readHead } from './locate-file.ts';
import { createLineSplitter, type Line } from './split-lines.ts';

const chunkBytes = 64 * 1024;

export type Tail = Awaited<ReturnType<typeof openTail>>;

/** Keeps a file open and reads what is added to it, under whatever name it goes by then. */
export async function openTail(path: string, offset: number, maxLineBytes: number) {
  // A named pipe in the place of the log must not hold up the opening.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return await createTail(path, offset, maxLineBytes, handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function createTail(path: string, offset: number, maxLineBytes: number, handle: Awaited<ReturnType<typeof open>>) {
  let info = await handle.stat({ bigint: true });
  if (!info.isFile()) throw new HostError('invalid-params', `${path} is not a regular file`, { hint: 'name a log file' });
  let head = await readHead(handle, headBytes);
  let position = offset;
  let lineEnd = offset;
  const hashOf = createPrefixHash(() => head);
  const splitter = createLineSplitter(offset, maxLineBytes);
  const buffer = Buffer.alloc(chunkBytes);

  const cursorAt = (end: number): FileCursor => ({
    dev: String(info.dev),
    inode: String(info.ino),
    offset: end,
    head: { bytes: head.length, sha256: hashOf(head.length) },
    mtimeMs: Number(info.mtimeMs),
  });

  function toFeedLine({ text, end }: Line): FeedLine {
    // Only what stands before a place names it: how much of the file was there at that time may not matter.
    return { text, id: `${end}:${hashOf(Math.min(end, headBytes))}`, cursor: writeFileCursor(cursorAt(end)) };
  }

  /** Looked at after each read: if the file still begins as it did, what was read before came from the same contents. */
  async function isReplaced(end: number): Promise<boolean> {
    info = await handle.stat({ bigint: true });
    const begins = await readHead(handle, headBytes);
    if (Number(info.size) < end || !begins.subarray(0, head.length).equals(head)) return true;
    head = begins;
    return false;
  }

  return {
    path,
    inode: () => ({ dev: String(info.dev), inode: String(info.ino) }),
    beginsAs: (cursor: FileCursor): boolean => hashOf(cursor.head.bytes) === cursor.head.sha256,
    cursor: (): FileCursor => cursorAt(lineEnd),
    /** Reads to the end. `replaced`: the file was truncated or written anew, and what is in it now is not what was being read. */
    async read(take: (lines: FeedLine[], cut: number) => Promise<void>, signal: AbortSignal): Promise<'end' | 'replaced'> {
      while (!signal.aborted) {
        const { bytesRead } = await handle.read(buffer, 0, chunkBytes, position);
        if (await isReplaced(position + bytesRead)) return 'replaced';
        if (bytesRead === 0) return 'end';
        const chunk = buffer.subarray(0, bytesRead);
        position += bytesRead;
        const lines = splitter.push(chunk);
        lineEnd = lines.at(-1)?.end ?? lineEnd;
        if (lines.length > 0) await take(lines.map(toFeedLine), lines.filter((line) => line.cut).length);
      }
      return 'end';
    },
    /** Nothing more is written to this file: what stands behind its last line break is a line too. */
    async finish(take: (lines: FeedLine[], cut: number) => Promise<void>): Promise<void> {
      const rest = splitter.rest();
      lineEnd = position;
      if (rest !== null) await take([toFeedLine(rest)], rest.cut ? 1 : 0);
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** The hash of the first bytes of a head that only grows; the last one is kept, because most lines ask for the same. */
function createPrefixHash(head: () => Buffer): (bytes: number) => string {
  let last = { bytes: -1, sha256: '' };
  return (bytes) => {
    if (last.bytes !== bytes) last = { bytes, sha256: hashHead(head().subarray(0, bytes)) };
    return last.sha256;
  };
}
