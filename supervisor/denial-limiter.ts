import type { AuditEntry } from './audit.ts';
import type { Clock } from './clock.ts';
import { createRepeatLimiter, type RepeatLimiter, windowMs } from './repeat-limiter.ts';

export type DenialLimiter = RepeatLimiter<AuditEntry>;

/** Refusals cost their author nothing and us a row: per key the first 20 a minute are written, the others as one row with their number. */
export function createDenialLimiter(deps: { clock: Clock; append(entry: AuditEntry): Promise<void> }): DenialLimiter {
  const append = (entry: AuditEntry) => void deps.append(entry).catch(() => undefined); // the database has logged it
  return createRepeatLimiter({
    clock: deps.clock,
    tell: append,
    tellLeft(left, entry) {
      const common = entry ?? { verdict: 'deny' as const, rule: 'many-keys' };
      append({ ...common, kind: 'denials.closed', requestId: null, summary: JSON.stringify({ left_out: left, window_ms: windowMs }) });
    },
  });
}
