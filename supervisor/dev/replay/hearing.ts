import type { HostError } from '../../../protocol/errors.ts';
import type { MessageId } from '../../../protocol/message.ts';
import type { Clock } from '../../clock.ts';
import type { RecordedOutcome } from './read-script.ts';

/** What the plugin did and nobody has looked at yet. `refusal`: what an ask failed with. */
export type Heard =
  | { kind: 'ask'; method: string; params: unknown; reply(outcome: RecordedOutcome): void; refusal: HostError | null }
  | { kind: 'answer'; id: MessageId; outcome: RecordedOutcome }
  | { kind: 'progress'; id: MessageId; value: unknown };

/** A queue that can be waited at, for so long. */
export function createHearing(clock: Clock, timeoutMs: number) {
  const queue: Heard[] = [];
  let wake: (() => void) | null = null;

  /** Resolves when something new came; false when nothing did. */
  function next(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = clock.timer(withinMs, () => {
        wake = null;
        resolve(false);
      });
      wake = () => {
        timer.cancel();
        wake = null;
        resolve(true);
      };
    });
  }

  async function find(matches: (heard: Heard) => boolean): Promise<Heard | null> {
    for (const until = clock.monotonicMs() + timeoutMs; ; ) {
      const at = queue.findIndex(matches);
      if (at !== -1) return queue.splice(at, 1)[0] ?? null;
      if (!(await next(Math.max(0, until - clock.monotonicMs())))) return null;
    }
  }

  return {
    hear(heard: Heard): void {
      queue.push(heard);
      wake?.();
    },
    find,
    first: (): Promise<Heard | null> => find(() => true),
    all: (): readonly Heard[] => queue,
    forget(): void {
      queue.length = 0;
    },
  };
}
