import type { Clock, Timer } from './clock.ts';

export type RepeatLimiter<Entry> = ((entry: Entry, key: string) => void) & {
  /** Tells what was left out until now, at the end of the service. */
  close(): void;
};
type Deps<Entry> = {
  clock: Clock;
  tell(entry: Entry): void;
  /** How many of one key were left out, and the first that was told; null: of several keys together. */
  tellLeft(left: number, entry: Entry | null): void;
};
type Window<Entry> = { endsAt: number; told: number; left: number; entry: Entry };

export const windowMs = 60_000;
const toldPerWindow = 20;
const mostKeys = 10_000; // what is told names its own key: without a bound it would choose our memory
const sharedKey = '';

/** What can happen thousands of times a second is told one by one only at first: of each key 20 a minute, then how many more there were. */
export function createRepeatLimiter<Entry>({ clock, tell, tellLeft }: Deps<Entry>): RepeatLimiter<Entry> {
  const windows = new Map<string, Window<Entry>>(); // in the order in which they end, because all are equally long
  let timer: Timer | undefined;

  function closeWindow(key: string, { left, entry }: Window<Entry>): void {
    windows.delete(key);
    if (left > 0) tellLeft(left, key === sharedKey ? null : entry);
  }

  function sweep(): void {
    timer?.cancel();
    timer = undefined;
    for (const [key, window] of windows) {
      if (window.endsAt > clock.monotonicMs()) {
        timer = clock.timer(window.endsAt - clock.monotonicMs(), sweep);
        return;
      }
      closeWindow(key, window);
    }
  }

  function openWindow(key: string, entry: Entry): Window<Entry> {
    const window = { endsAt: clock.monotonicMs() + windowMs, told: 0, left: 0, entry };
    windows.set(key, window);
    timer ??= clock.timer(windowMs, sweep);
    return window;
  }

  function take(entry: Entry, key: string): void {
    const own = `key ${key}`; // never the shared one
    if ((windows.get(own)?.endsAt ?? Number.POSITIVE_INFINITY) <= clock.monotonicMs()) sweep(); // the timer is late
    const bounded = windows.has(own) || windows.size < mostKeys ? own : sharedKey;
    const window = windows.get(bounded) ?? openWindow(bounded, entry);
    if (window.told >= toldPerWindow) {
      window.left += 1;
      return;
    }
    window.told += 1;
    tell(entry);
  }

  return Object.assign(take, {
    close() {
      timer?.cancel();
      for (const [key, window] of windows) closeWindow(key, window);
    },
  });
}
