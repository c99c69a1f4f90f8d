/** Failures counted in twentieths of the window: bounded, however many there are. `counts[i]` belongs to slot `first + i`. */
export type Window = { first: number; counts: number[]; alerted: boolean };

const slots = 20;
/** A window that reaches back to a slot keeps at most this much less than its nominal length. */
export const slotMs = (windowMinutes: number): number => (windowMinutes * 60_000) / slots;

export const createWindow = (): Window => ({ first: 0, counts: [], alerted: false });

/** Adds failures at a time and returns how many the window now holds. A whole window of silence ends a burst: the next one alerts again. */
export function addFailures(window: Window, atMs: number, times: number, windowMinutes: number): number {
  const slot = Math.floor(atMs / slotMs(windowMinutes));
  const last = window.first + window.counts.length - 1;
  if (window.counts.length === 0 || slot - last >= slots || last - slot >= slots) {
    window.first = slot;
    window.counts = [0];
    window.alerted = false;
  }
  // The feed's time never goes back; another clock's (the setting was changed) must not write before the start.
  const at = Math.max(0, slot - window.first);
  while (window.counts.length <= at) window.counts.push(0);
  window.counts[at] = (window.counts[at] ?? 0) + times;
  const excess = window.counts.length - slots;
  if (excess > 0) {
    window.counts.splice(0, excess);
    window.first += excess;
  }
  return window.counts.reduce((sum, count) => sum + count, 0);
}

export const lastSlot = (window: Window): number => window.first + window.counts.length;
