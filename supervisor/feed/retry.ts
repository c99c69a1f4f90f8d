import { type Clock, delay } from '../clock.ts';
import type { Log } from '../log.ts';

const passing: ReadonlySet<unknown> = new Set([
  'rate-limited',
  'unavailable',
  'storage-unavailable',
  'plugin-crashed',
  'deadline-exceeded',
  'conflict',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
]);
const firstDelayMs = 500;
const longestDelayMs = 30_000;

function codeOf(error: unknown): unknown {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } };
  return code ?? cause?.code; // fetch hides the code of the socket in the cause
}

/** Does the job until it succeeds. What passes by itself is waited out, without end; anything else is thrown. */
export async function retry<T>(
  job: () => Promise<T>,
  { clock, log, signal, what }: { clock: Clock; log: Log; signal: AbortSignal; what: string },
): Promise<T> {
  for (let delayMs = firstDelayMs, attempt = 1; ; delayMs = Math.min(delayMs * 2, longestDelayMs), attempt++) {
    try {
      return await job();
    } catch (error) {
      const code = codeOf(error);
      if (!passing.has(code)) throw error;
      log.warn('feed.retry', { what, code, attempt, delayMs });
      await delay(clock, delayMs, signal);
    }
  }
}
