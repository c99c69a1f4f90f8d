import { HostError } from '../../protocol/errors.ts';
import type { Clock } from '../clock.ts';

/** One call from the moment it is taken: its signal is aborted by its deadline, by its caller, or by us, whichever comes first. */
export type Call = { signal: AbortSignal; giveUp(error: HostError): void; close(): void };

export function openCall(pluginId: string, timeoutMs: number, caller: AbortSignal | undefined, clock: Clock): Call {
  const controller = new AbortController();
  const giveUp = (error: HostError): void => controller.abort(error);
  const cancel = () => giveUp(new HostError('cancelled', 'the call was given up by its caller'));
  const timer = clock.timer(timeoutMs, () =>
    giveUp(
      new HostError('deadline-exceeded', `${pluginId} did not reply within ${timeoutMs} ms`, {
        hint: `see why: lattice plugins why ${pluginId}`,
      }),
    ),
  );
  caller?.addEventListener('abort', cancel, { once: true });
  if (caller?.aborted) cancel();
  return {
    signal: controller.signal,
    giveUp,
    close() {
      timer.cancel();
      caller?.removeEventListener('abort', cancel);
    },
  };
}
