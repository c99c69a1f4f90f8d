import type { HarnessEvent } from '../harness/harness-events.ts';

type Fields = { id?: unknown; method?: unknown; error?: unknown };

/** Tells the pings among the messages, and the answers that say that all is well. What is wrong with a ping is no ping any more: it is news. */
export function createPingWatch(): (event: HarnessEvent) => boolean {
  const open = new Set<unknown>();
  return (event) => {
    if (event.kind === 'state' && event.to === 'starting') open.clear(); // another process counts its ids anew
    if (event.kind !== 'message' || typeof event.message !== 'object' || event.message === null) return false;
    const { id, method, error } = event.message as Fields; // an object, as was just seen
    if (event.direction === 'out' && method === 'ping') {
      open.add(id);
      return true;
    }
    return event.direction === 'in' && method === undefined && open.delete(id) && error === undefined;
  };
}
