import type { Clock } from '../clock.ts';

export type ManualClock = Clock & { advance(ms: number): Promise<void>; setWall(ms: number): void; pending(): number };

/** Time that moves only when told. `advance` runs due timers in order and lets promises settle after each. */
export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let monotonic = 0;
  let wall = startMs;
  let nextId = 0;
  const timers = new Map<number, { at: number; run: () => void }>();
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

  return {
    wallMs: () => wall,
    monotonicMs: () => monotonic,
    timer(delayMs, run) {
      const id = nextId++;
      timers.set(id, { at: monotonic + Math.max(0, delayMs), run });
      return { cancel: () => void timers.delete(id) };
    },
    async advance(ms) {
      const end = monotonic + ms;
      await settle();
      for (;;) {
        const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0];
        if (!due) break;
        wall += due[1].at - monotonic;
        monotonic = due[1].at;
        timers.delete(due[0]);
        due[1].run();
        await settle();
      }
      wall += end - monotonic;
      monotonic = end;
      await settle();
    },
    setWall: (ms) => {
      wall = ms;
    },
    pending: () => timers.size,
  };
}
