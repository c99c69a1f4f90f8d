export type Timer = { cancel(): void; rest?(): void; wake?(): void };

/** Wall time is for people and records; intervals are measured on the monotonic clock, which no one can set. */
export type Clock = {
  wallMs(): number;
  monotonicMs(): number;
  timer(delayMs: number, run: () => void): Timer;
};

export const createRealClock = (): Clock => ({
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  timer(delayMs, run) {
    const handle = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(handle), rest: () => void handle.unref(), wake: () => void handle.ref() };
  },
});

/** RFC 3339 UTC with milliseconds. */
export const timestamp = (clock: Clock): string => new Date(clock.wallMs()).toISOString();

/** Resolves after the delay; rejects with the signal's reason when it is aborted first. */
export function delay(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.timer(delayMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}
