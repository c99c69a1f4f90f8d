import type { Clock } from './clock.ts';

const jumpMs = 10 * 60_000; // far more than a clock drifts between two looks
const gapMs = 24 * 60 * 60_000; // since the last row of the run before; a longer stop looks like a clock that is wrong
export const doubtMs = 24 * 60 * 60_000; // time for whoever keeps the clock to put it right

/**
 * Whether the clock on the wall is to be believed for what cannot be undone. One that jumps, or is far from where the last run left it, is
 * not, until it has kept step with the monotonic clock for a day.
 */
export function createClockBelief(clock: Clock, lastKnownMs: number | null): () => boolean {
  let offsetMs = clock.wallMs() - clock.monotonicMs();
  let doubtedUntilMs = Number.NEGATIVE_INFINITY;
  const doubt = (): void => {
    doubtedUntilMs = clock.monotonicMs() + doubtMs;
  };
  if (lastKnownMs !== null && Math.abs(clock.wallMs() - lastKnownMs) > gapMs) doubt();
  return () => {
    const nowMs = clock.wallMs() - clock.monotonicMs();
    if (Math.abs(nowMs - offsetMs) > jumpMs) doubt();
    offsetMs = nowMs;
    return clock.monotonicMs() >= doubtedUntilMs;
  };
}
