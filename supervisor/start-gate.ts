import type { Timers } from '../protocol/deadlines.ts';

/**
 * Lets only so many children start at once, in the order in which they came: hundreds together, after a restart of the service, would all
 * miss their start deadline. Whoever takes longer than `holdMostMs` goes on outside, so that plugins that hang at start hold up nobody.
 */
export function createStartGate({ most, holdMostMs, timers }: { most: number; holdMostMs: number; timers: Timers }) {
  const waiting: (() => void)[] = [];
  let inside = 0;

  function admit(): () => void {
    inside++;
    let isInside = true;
    const leave = (): void => {
      if (!isInside) return;
      isInside = false;
      timer.cancel();
      inside--;
      waiting.shift()?.();
    };
    const timer = timers.timer(holdMostMs, leave);
    return leave;
  }

  return {
    /** Resolves to what gives the place back; to do so twice is harmless. */
    enter: (): Promise<() => void> =>
      new Promise((resolve) => {
        if (inside < most) resolve(admit());
        else waiting.push(() => resolve(admit()));
      }),
  };
}
