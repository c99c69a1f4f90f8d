import type { Test } from 'tap';
import { createRealClock } from '../../../supervisor/clock.ts';
import type { Chunk } from '../../../supervisor/feed/feed-source.ts';
import { type FollowOptions, followFile } from '../../../supervisor/feed/follow-file.ts';
import { createQuietLog } from '../../support/quiet-log.ts';

export type Collected = Awaited<ReturnType<typeof startFollowing>>;

/** Follows a file in the background and lets a test wait for what comes. */
export async function startFollowing(t: Test, path: string, options: Partial<FollowOptions> = {}) {
  const stop = new AbortController();
  const log = createQuietLog();
  const texts: string[] = [];
  let cursor: string | null = options.cursor ?? null;
  let waiters: { count: number; resolve: () => void }[] = [];
  let failed: unknown = null;
  let positions = 0;

  const settle = () => {
    for (const waiter of waiters.filter(({ count }) => texts.length >= count)) waiter.resolve();
    waiters = waiters.filter(({ count }) => texts.length < count);
  };
  const begun = Promise.withResolvers<void>();
  const done = followFile({
    path,
    cursor,
    signal: stop.signal,
    clock: createRealClock(),
    log,
    pollMs: 20,
    ...options,
    async onBatch(chunk: Chunk) {
      await options.onBatch?.(chunk);
      cursor = chunk.cursor;
      positions++;
      texts.push(...chunk.lines.map((line) => line.text));
      begun.resolve();
      settle();
    },
  }).catch((error) => {
    failed = error;
    begun.reject(error);
    for (const { resolve } of waiters) resolve();
  });
  begun.promise.catch(() => {});

  const end = async () => {
    stop.abort();
    await done;
  };
  t.teardown(end);
  return {
    log,
    texts,
    end,
    done,
    failed: () => failed,
    cursor: () => cursor,
    positions: () => positions,
    /** Resolves when the first place is known. */
    begun: begun.promise,
    /** Resolves when so many lines have come since the start. */
    lines(count: number): Promise<string[]> {
      return new Promise((resolve) => {
        waiters.push({ count, resolve: () => resolve(texts) });
        settle();
      });
    },
  };
}
