import { HostError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';

/**
 * What is kept of a feed. `position`: all before it was accepted. `sending`: the name of the place where the batch ends that was being
 * sent. After a crash that batch is made up the same way once more, so that the plugin knows it again.
 */
export type FeedCursor = { position: string | null; sending: string | null };

export const writeFeedCursor = (cursor: FeedCursor): string => JSON.stringify(cursor);

export function parseFeedCursor(text: string | null): FeedCursor {
  if (text === null) return { position: null, sending: null };
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    value = null;
  }
  const { position, sending } = (value ?? {}) as Record<string, unknown>; // both are checked below
  if (isTextOrNull(position) && isTextOrNull(sending)) return { position, sending };
  throw new HostError('invalid-params', 'the stored place of the feed cannot be read', {
    hint: 'delete the stored cursor of this feed to begin anew',
  });
}

const isTextOrNull = (value: unknown): value is string | null => value === null || (typeof value === 'string' && value.length <= 4096);
