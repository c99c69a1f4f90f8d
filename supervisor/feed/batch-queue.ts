import type { Clock } from '../clock.ts';
import type { FeedLine } from './feed-source.ts';

export type BatchLimits = { lines: number; bytes: number; waitMs: number };

const replayMs = 10_000; // how long the lines of an interrupted batch may take to be read again
const queuedBatches = 2; // read ahead while one is being sent

/** What a line costs in a JSON message: a control character takes six bytes there. */
const costOf = (text: string): number => Buffer.byteLength(JSON.stringify(text)) + 1;

/** Gathers lines into batches: at most so many lines and bytes, and none waits longer than `waitMs` for others. */
export function createBatchQueue({
  clock,
  limits,
  replayUntil,
  signal,
}: {
  clock: Clock;
  limits: BatchLimits;
  replayUntil: string | null;
  signal: AbortSignal;
}) {
  const queue: { line: FeedLine; bytes: number }[] = [];
  let oldestMs = 0;
  let replay = replayUntil;
  let ended = false;
  let changed = Promise.withResolvers<void>();

  function tell(): void {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  }
  signal.addEventListener('abort', tell, { once: true });

  async function pause(delayMs: number | null): Promise<void> {
    const timer = delayMs === null ? null : clock.timer(delayMs, tell);
    await changed.promise;
    timer?.cancel();
  }

  /** How many lines the next batch takes by its limits; one line always fits. */
  function measure(): { lines: number; isFull: boolean } {
    let bytes = 0;
    for (const [at, entry] of queue.entries()) {
      bytes += entry.bytes;
      if (at === limits.lines || (bytes > limits.bytes && at > 0)) return { lines: at, isFull: true };
    }
    return { lines: queue.length, isFull: queue.length >= limits.lines || bytes >= limits.bytes };
  }

  /** The lines to send now, or how long to wait for more. */
  function decide(): number | { waitMs: number } {
    const { lines, isFull } = measure();
    if (ended) return lines;
    const age = clock.monotonicMs() - oldestMs;
    if (replay !== null) {
      const end = queue.findIndex(({ line }) => line.id === replay);
      if (end !== -1 && end < lines) return end + 1;
      if (!isFull && age < replayMs) return { waitMs: replayMs - age };
      replay = null; // its lines are gone: the log was rotated away meanwhile
    }
    return isFull || age >= limits.waitMs ? lines : { waitMs: limits.waitMs - age };
  }

  return {
    async push(lines: readonly FeedLine[]): Promise<void> {
      if (lines.length === 0) return;
      if (queue.length === 0) oldestMs = clock.monotonicMs();
      for (const line of lines) queue.push({ line, bytes: costOf(line.text) });
      tell();
      while (queue.length >= limits.lines * queuedBatches && !signal.aborted) await pause(null);
    },
    isEmpty: () => queue.length === 0,
    /** No more lines come: what is here is given out without waiting. */
    end(): void {
      ended = true;
      tell();
    },
    hasFullBatch: () => replay === null && measure().isFull,
    /** The next batch; `idle` when none came for `idleMs`; null at the end, or when the signal is aborted. */
    async next(idleMs: number | null): Promise<FeedLine[] | 'idle' | null> {
      const idleAt = idleMs === null ? null : clock.monotonicMs() + idleMs;
      while (!signal.aborted) {
        if (queue.length > 0) {
          const decided = decide();
          if (typeof decided === 'number') {
            replay = null;
            const taken = queue.splice(0, decided).map(({ line }) => line);
            oldestMs = clock.monotonicMs();
            tell();
            return taken;
          }
          await pause(decided.waitMs);
        } else {
          if (ended) return null;
          const left = idleAt === null ? null : idleAt - clock.monotonicMs();
          if (left !== null && left <= 0) return 'idle';
          await pause(left);
        }
      }
      return null;
    },
  };
}
export type BatchQueue = ReturnType<typeof createBatchQueue>;
