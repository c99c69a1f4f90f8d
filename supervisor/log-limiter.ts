import type { Clock } from './clock.ts';
import type { Fields, Log } from './log.ts';
import { createRepeatLimiter, windowMs } from './repeat-limiter.ts';

type Line = { event: string; fields: Fields | undefined };

/**
 * The same log, in which an error that repeats is summarised: of each event, and of each plugin it names, the first 20 lines a minute are written
 * in full, stack and all, then one `log.left-out` with the number of the others. Whoever finds a way to cause an error cannot fill the disk with it.
 */
export function limitErrors(log: Log, clock: Clock): Log & { close(): void } {
  const limiter = createRepeatLimiter<Line>({
    clock,
    tell: ({ event, fields }) => log.error(event, fields),
    tellLeft(left, line) {
      const { plugin } = line?.fields ?? {};
      log.error('log.left-out', {
        of: line?.event ?? null,
        ...(plugin === undefined ? {} : { plugin }),
        left_out: left,
        window_ms: windowMs,
      });
    },
  });
  return {
    ...log,
    error: (event, fields) => limiter({ event, fields }, `${event} ${String(fields?.plugin ?? '')}`),
    close: limiter.close,
  };
}
