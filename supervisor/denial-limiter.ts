import type { AuditEntry } from './audit.ts';
import type { Clock, Timer } from './clock.ts';

export type DenialLimiter = ((entry: AuditEntry, key: string) => void) & {
  /** Writes the closing rows that are due, at the end of the service. */
  close(): void;
};
type Window = { endsAt: number; rows: number; left: number; entry: AuditEntry };

const windowMs = 60_000;
const rowsPerWindow = 20;
const mostKeys = 10_000; // what is refused names its own key: without a bound it would choose our memory
const sharedKey = '';

/** Refusals cost their author nothing and us a row: per key the first 20 a minute are written, the others as one row with their number. */
export function createDenialLimiter(deps: { clock: Clock; append(entry: AuditEntry): Promise<void> }): DenialLimiter {
  const { clock } = deps;
  const windows = new Map<string, Window>(); // in the order in which they end, because all are equally long
  let timer: Timer | undefined;

  const append = (entry: AuditEntry) => void deps.append(entry).catch(() => undefined); // the database has logged it

  function closeWindow(key: string, window: Window): void {
    windows.delete(key);
    if (window.left === 0) return;
    const common = key === sharedKey ? { verdict: 'deny' as const, rule: 'many-keys' } : window.entry;
    append({ ...common, kind: 'denials.closed', requestId: null, summary: JSON.stringify({ left_out: window.left, window_ms: windowMs }) });
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

  function openWindow(key: string, entry: AuditEntry): Window {
    const window = { endsAt: clock.monotonicMs() + windowMs, rows: 0, left: 0, entry };
    windows.set(key, window);
    timer ??= clock.timer(windowMs, sweep);
    return window;
  }

  function record(entry: AuditEntry, key: string): void {
    const own = `key ${key}`; // never the shared one
    if ((windows.get(own)?.endsAt ?? Number.POSITIVE_INFINITY) <= clock.monotonicMs()) sweep(); // the timer is late
    const bounded = windows.has(own) || windows.size < mostKeys ? own : sharedKey;
    const window = windows.get(bounded) ?? openWindow(bounded, entry);
    if (window.rows >= rowsPerWindow) {
      window.left += 1;
      return;
    }
    window.rows += 1;
    append(entry);
  }

  return Object.assign(record, {
    close() {
      timer?.cancel();
      for (const [key, window] of windows) closeWindow(key, window);
    },
  });
}
