export type Timers = { monotonicMs(): number; timer(delayMs: number, run: () => void): { cancel(): void } };

/**
 * Deadlines of many requests on one timer. Most are met, so adding and removing must cost next to nothing: the timer is armed for the
 * earliest one and is not touched when that one is removed; it then fires once for nothing.
 */
export function createDeadlines<Key>(timers: Timers, expire: (key: Key) => void) {
  const due = new Map<Key, number>();
  let armed: { at: number; cancel(): void } | null = null;

  function arm(at: number): void {
    armed?.cancel();
    const timer = timers.timer(Math.max(0, at - timers.monotonicMs()), fire);
    armed = { at, cancel: timer.cancel };
  }

  function fire(): void {
    armed = null;
    const now = timers.monotonicMs();
    let next = Number.POSITIVE_INFINITY;
    for (const [key, at] of due) {
      if (at <= now) {
        due.delete(key);
        expire(key);
      } else next = Math.min(next, at);
    }
    if (next !== Number.POSITIVE_INFINITY && (armed === null || (armed as { at: number }).at > next)) arm(next); // expire may have armed
  }

  return {
    add(key: Key, timeoutMs: number): void {
      const at = timers.monotonicMs() + timeoutMs;
      due.set(key, at);
      if (armed === null || at < armed.at) arm(at);
    },
    remove(key: Key): void {
      due.delete(key);
      if (due.size === 0 && armed) {
        armed.cancel(); // nothing left: a test or a stopping process must not wait for an idle timer
        armed = null;
      }
    },
    size: () => due.size,
    clear(): void {
      due.clear();
      armed?.cancel();
      armed = null;
    },
  };
}
