import { HostError } from '../protocol/errors.ts';
import type { Clock } from './clock.ts';

/**
 * Runs work that must end by a deadline. Its signal is aborted at the deadline, or when the outer one is; then the call rejects at once,
 * even if the work does not look at the signal.
 */
export async function runWithDeadline<T>(
  deps: { clock: Clock; timeoutMs: number; outer?: AbortSignal | undefined },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock, timeoutMs, outer } = deps;
  const controller = new AbortController();
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {}); // nobody listens when the work wins
  const end = (error: HostError) => {
    controller.abort(error);
    ended.reject(error);
  };
  const cancel = () => end(outer?.reason instanceof HostError ? outer.reason : new HostError('cancelled', 'the call was cancelled'));
  const timer = clock.timer(timeoutMs, () =>
    end(
      new HostError('deadline-exceeded', `no answer within ${timeoutMs} ms`, {
        rule: 'timeout',
        timeout_ms: timeoutMs,
        hint: 'allow more time, or ask for less',
      }),
    ),
  );
  outer?.addEventListener('abort', cancel, { once: true });
  try {
    if (outer?.aborted) cancel();
    const running = controller.signal.aborted ? ended.promise : work(controller.signal);
    return await Promise.race([running, ended.promise]);
  } finally {
    timer.cancel();
    outer?.removeEventListener('abort', cancel);
    // Whatever is still under way must not outlive the call.
    if (!controller.signal.aborted) controller.abort(new HostError('cancelled', 'the call has ended'));
  }
}
