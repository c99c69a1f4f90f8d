/** `rest` lets the process end before the timer; one that has it need not be made anew for each call that comes and goes. */
export type TimerHandle = { cancel(): void; rest?(): void; wake?(): void };
export type Timers = { monotonicMs(): number; timer(delayMs: number, run: () => void): TimerHandle };

/**
 * Deadlines of many requests on one timer. Most are met, so adding and removing must cost next to nothing: the timer is armed for the
 * earliest one and is not touched when that one is removed; it then fires once for nothing.
 */
export function createDeadlines<Key>(timers: Timers, expire: (key: Key) => void) {
  const due = new Map<Key, number>();
  let armed: { at: number; timer: TimerHandle; resting: boolean } | null = null;

  function arm(at: number): void {
    armed?.timer.cancel();
    armed = { at, timer: timers.timer(Math.max(0, at - timers.monotonicMs()), fire), resting: false };
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
      if (armed === null || at < armed.at) return arm(at);
      if (!armed.resting) return;
      armed.resting = false;
      armed.timer.wake?.();
    },
    remove(key: Key): void {
      due.delete(key);
      if (due.size > 0 || !armed || armed.resting) return;
      // Nothing left: a stopping process must not wait for an idle timer.
      if (armed.timer.rest) {
        armed.resting = true;
        armed.timer.rest();
      } else {
        armed.timer.cancel();
        armed = null;
      }
    },
    size: () => due.size,
    clear(): void {
      due.clear();
      armed?.timer.cancel();
      armed = null;
    },
  };
}
