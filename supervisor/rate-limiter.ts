export type Rate = { perSecond: number; burst: number };

/** A token bucket: `take` says whether one more is within the rate, and never waits. */
export function createRateLimiter(rate: Rate, monotonicMs: () => number) {
  let tokens = rate.burst;
  let filledAt = monotonicMs();
  return {
    take(): boolean {
      const now = monotonicMs();
      tokens = Math.min(rate.burst, tokens + ((now - filledAt) / 1000) * rate.perSecond);
      filledAt = now;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    /** Milliseconds until the next one is allowed. */
    waitMs: (): number => Math.max(0, Math.ceil(((1 - tokens) / rate.perSecond) * 1000 - (monotonicMs() - filledAt))),
  };
}

export type RateLimiter = ReturnType<typeof createRateLimiter>;
