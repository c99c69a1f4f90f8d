import { createHash } from 'node:crypto';
import { HostError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';

/**
 * A place in a file that may be renamed, copied, truncated or replaced: which file it was, how far it was read, and a hash of its first
 * bytes, because an inode's number is given to a new file soon after the old one is gone.
 */
export type FileCursor = { dev: string; inode: string; offset: number; head: { bytes: number; sha256: string }; mtimeMs: number };

export const headBytes = 1024;

export const hashHead = (head: Uint8Array): string => createHash('sha256').update(head).digest('hex');

export const writeFileCursor = (cursor: FileCursor): string => JSON.stringify(cursor);

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isDigits = (value: unknown): value is string => typeof value === 'string' && /^\d{1,20}$/.test(value);

export function parseFileCursor(text: string): FileCursor {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    value = null;
  }
  const { dev, inode, offset, head, mtimeMs } = (value ?? {}) as Record<string, unknown>; // each member is checked below
  const { bytes, sha256 } = (head ?? {}) as Record<string, unknown>;
  const good = isDigits(dev) && isDigits(inode) && isSize(offset) && isSize(bytes) && bytes <= headBytes;
  if (good && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) && typeof mtimeMs === 'number') {
    return { dev, inode, offset, head: { bytes, sha256 }, mtimeMs };
  }
  throw new HostError('invalid-params', 'the stored place is not one in a file', {
    hint: 'delete the stored cursor of this feed to begin anew',
  });
}
