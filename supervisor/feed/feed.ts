import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { type BatchLimits, createBatchQueue } from './batch-queue.ts';
import { parseFeedCursor, writeFeedCursor } from './feed-cursor.ts';
import type { FeedLine, FeedSource } from './feed-source.ts';
import { retry } from './retry.ts';

/** The payload of the plugin's method. The same `source` and `cursor` again are the same batch again. */
export type FeedBatch = { source: string; lines: string[]; cursor: string };

export type FeedDeps = {
  source: FeedSource;
  /** Hands a batch to the plugin; resolves when it has been accepted. An answer with `pending` above 0 asks for an empty batch later on. */
  send(batch: FeedBatch): Promise<unknown>;
  loadCursor(): Promise<string | null>;
  saveCursor(cursor: string): Promise<void>;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
  limits?: Partial<BatchLimits>;
};

const defaultLimits: BatchLimits = { lines: 200, bytes: 256 * 1024, waitMs: 500 };
const firstNudgeMs = 30_000;
const longestNudgeMs = 600_000;

/**
 * Feeds a log to a plugin until the signal is aborted or something fails that does not pass by itself. The cursor moves only when a
 * batch has been accepted, so nothing is dropped; a batch that was under way when the process died comes again, the same.
 */
export async function runFeed(deps: FeedDeps): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([deps.signal, stop.signal]);
  const keep = <T>(what: string, job: () => Promise<T>) => retry(job, { clock: deps.clock, log: deps.log, signal, what });
  const text = await keep('load-cursor', deps.loadCursor).catch((error) => (deps.signal.aborted ? null : Promise.reject(error)));
  if (deps.signal.aborted) return;
  const stored = parseFeedCursor(text);
  const queue = createBatchQueue({ clock: deps.clock, limits: { ...defaultLimits, ...deps.limits }, replayUntil: stored.sending, signal });
  const saver = createSaver(stored.position, (text) => keep('save-cursor', () => deps.saveCursor(text)));

  const reading = deps.source.read({
    cursor: stored.position,
    signal,
    async onChunk({ lines, cursor }) {
      if (lines.length === 0 && queue.isEmpty()) await saver.moved(cursor);
      await queue.push(lines);
    },
  });
  const sending = sendBatches({ ...deps, signal, queue, saver, keep });
  // A part that fails stops the other, and its error is what the caller gets.
  const stopOther = (reason: unknown) => {
    stop.abort();
    throw reason;
  };
  const ended = await Promise.allSettled([reading.then(queue.end).catch(stopOther), sending.catch(stopOther)]);
  for (const result of ended) if (result.status === 'rejected' && result.reason !== signal.reason) throw result.reason;
}

type Keep = <T>(what: string, job: () => Promise<T>) => Promise<T>;
type Saver = ReturnType<typeof createSaver>;
type Sending = Pick<FeedDeps, 'source' | 'send' | 'log' | 'signal'> & {
  queue: ReturnType<typeof createBatchQueue>;
  saver: Saver;
  keep: Keep;
};

async function sendBatches({ source, send, log, signal, queue, saver, keep }: Sending): Promise<void> {
  let pending = false;
  let nudgeMs = firstNudgeMs;
  let lastId: string | null = null;
  while (!signal.aborted) {
    const lines = await queue.next(pending && lastId !== null ? nudgeMs : null);
    if (lines === null) return;
    if (lines === 'idle') {
      if (lastId === null) continue;
      // The plugin holds something that it could not send on; an empty batch lets it try again.
      pending = hasPending(await keep('send', () => send({ source: source.label, lines: [], cursor: lastId ?? '' })));
      nudgeMs = Math.min(nudgeMs * 2, longestNudgeMs);
      continue;
    }
    const end = lines.at(-1);
    if (end === undefined) continue;
    lastId = nameBatch(source.label, end);
    const batch = { source: source.label, lines: lines.map((line) => line.text), cursor: lastId };
    await saver.begin(end);
    pending = hasPending(await keep('send', () => send(batch)));
    nudgeMs = firstNudgeMs;
    log.debug('feed.batch', { source: source.label, lines: lines.length });
    await saver.accepted(end, queue.hasFullBatch());
  }
}

const nameBatch = (label: string, end: FeedLine): string => createHash('sha256').update(`${label}\n${end.id}`).digest('hex').slice(0, 32);

const hasPending = (answer: unknown): boolean =>
  typeof answer === 'object' && answer !== null && Number((answer as { pending?: unknown }).pending) > 0;

/** Keeps the feed's place. When the next batch is sent at once, saving that says both: one accepted, the other begun. */
function createSaver(start: string | null, save: (text: string) => Promise<void>) {
  let position = start;
  let isSending = false;
  return {
    /** The reader stands somewhere that no line led to; that counts only when nothing before it is still on its way. */
    async moved(cursor: string): Promise<void> {
      if (isSending) return;
      position = cursor;
      await save(writeFeedCursor({ position, sending: null }));
    },
    async begin(end: FeedLine): Promise<void> {
      isSending = true;
      await save(writeFeedCursor({ position, sending: end.id }));
    },
    async accepted(end: FeedLine, nextFollows: boolean): Promise<void> {
      position = end.cursor;
      isSending = false;
      if (!nextFollows) await save(writeFeedCursor({ position, sending: null }));
    },
  };
}
