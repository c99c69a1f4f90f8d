import { HostError } from '../../protocol/errors.ts';
import { actionLimits } from './budgets.ts';

/** Lets so many actions of one plugin run at once; the others wait in order, up to a limit, while their callers do. */
export function createActionQueue() {
  let running = 0;
  const waiting = new Set<() => void>();

  /** The place goes to who waits longest, without being free in between. */
  function leave(): void {
    const [next] = waiting;
    if (next) next();
    else running--;
  }

  return {
    /** Resolves when there is a place, with what gives it back; rejects with the signal's reason when that comes first. */
    async enter(signal: AbortSignal): Promise<() => void> {
      signal.throwIfAborted();
      if (running < actionLimits.atOnce) running++;
      else if (waiting.size < actionLimits.waiting) await waitForPlace(signal);
      else
        throw new HostError('rate-limited', `${actionLimits.waiting} actions of this plugin wait already`, {
          rule: 'queue-full',
          hint: 'call it less at once',
        });
      return leave;
    },
    waiting: () => waiting.size,
  };

  function waitForPlace(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const takePlace = () => {
        waiting.delete(takePlace);
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        waiting.delete(takePlace);
        reject(signal.reason);
      };
      waiting.add(takePlace);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }
}
