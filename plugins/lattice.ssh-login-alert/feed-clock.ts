/** `rawMs`: the newest time that the log gave. `nowMs`: the same, but never going back. */
export type FeedClock = { rawMs: number | null; nowMs: number };

const reorderMs = 60_000; // lines of one log may swap places; a clock that goes back further has been set

/** Follows the log's own time. When that goes back (summer time, a new year without its number), ours stands still and then goes on. */
export function advance(clock: FeedClock, timeMs: number | null): void {
  if (timeMs === null) return;
  if (clock.rawMs === null) clock.nowMs = timeMs;
  else if (timeMs > clock.rawMs) clock.nowMs += timeMs - clock.rawMs;
  else if (clock.rawMs - timeMs <= reorderMs) return;
  clock.rawMs = timeMs;
}
