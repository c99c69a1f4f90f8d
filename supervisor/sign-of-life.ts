import { childMethods } from '../protocol/child-methods.ts';
import { asHostError } from '../protocol/errors.ts';
import type { Peer } from '../protocol/peer.ts';
import type { Clock } from './clock.ts';

const patienceMs = 30_000; // for an answer that stands behind work which we put off ourselves
const unansweredMostMs = 300_000;

/**
 * Asks a child whether it is alive. One that was not read, because its share of the event loop is used up, may have answered long ago: it gets more
 * time, and counts as alive meanwhile, but not for ever, because a flood answers nothing.
 */
export function createPing(
  peer: Pick<Peer, 'request' | 'withheldMs'>,
  { monotonicMs }: Pick<Clock, 'monotonicMs'>,
): () => Promise<unknown> {
  let answeredAt = monotonicMs();
  let withheldBefore = 0;

  return async function ping() {
    const withheld = peer.withheldMs();
    const timeoutMs = withheld > withheldBefore ? patienceMs : childMethods.ping.timeoutMs;
    withheldBefore = withheld;
    try {
      const answer = await peer.request('ping', {}, { timeoutMs, vital: true });
      answeredAt = monotonicMs();
      return answer;
    } catch (error) {
      const isLate = asHostError(error).code === 'deadline-exceeded';
      if (isLate && peer.withheldMs() > withheld && monotonicMs() - answeredAt < unansweredMostMs) return {};
      throw error;
    }
  };
}
