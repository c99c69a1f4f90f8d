import { type Clock, delay } from '../supervisor/clock.ts';
import type { RealRuntime } from '../test/support/real-runtime.ts';

const paceMs = 1; // between calls, so that the caller is not itself the load

/** Calls a plugin at an even pace until something is over, and says how long each call took and how large this process became. */
export async function callUntil(
  neighbour: RealRuntime,
  clock: Clock,
  over: () => boolean,
): Promise<{ latenciesMs: number[]; mostRssBytes: number }> {
  const latenciesMs: number[] = [];
  let mostRssBytes = 0;
  do {
    const startMs = clock.monotonicMs();
    await neighbour.invoke('echo', latenciesMs.length);
    latenciesMs.push(clock.monotonicMs() - startMs);
    mostRssBytes = Math.max(mostRssBytes, process.memoryUsage.rss());
    await delay(clock, paceMs);
  } while (!over());
  return { latenciesMs, mostRssBytes };
}

export function createWindow(clock: Clock, lengthMs: number): () => boolean {
  const endMs = clock.monotonicMs() + lengthMs;
  return () => clock.monotonicMs() >= endMs;
}

/** The value below which this share of all lies; null of none. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}

export const median = (values: readonly (number | null)[]): number | null =>
  quantile(
    values.filter((value) => value !== null),
    0.5,
  );
