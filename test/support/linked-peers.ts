import { PassThrough } from 'node:stream';
import type { HandleRequest } from '../../protocol/incoming.ts';
import { createPeer, type Peer } from '../../protocol/peer.ts';
import { createRealClock } from '../../supervisor/clock.ts';

export type LinkedPeers = {
  parent: Peer;
  child: Peer;
  toParent: PassThrough;
  toChild: PassThrough;
  violations: string[];
  strays: string[];
};
type Options = { parent: HandleRequest; child: HandleRequest; clock?: ReturnType<typeof createRealClock>; stalledAfterMs?: number };

/** Two peers over two pipes in memory: the supervisor's end, which may stop reading, and the child's, which always reads. */
export function linkPeers({ parent, child, clock = createRealClock(), stalledAfterMs = 10_000 }: Options): LinkedPeers {
  const toParent = new PassThrough();
  const toChild = new PassThrough();
  const violations: string[] = [];
  const strays: string[] = [];
  const shared = {
    timers: clock,
    onStray: (text: string) => void strays.push(text),
    onViolation: (rule: string) => void violations.push(rule),
  };
  return {
    parent: createPeer({ ...shared, input: toParent, output: toChild, handle: parent, stalledAfterMs }),
    child: createPeer({ ...shared, input: toChild, output: toParent, handle: child, child: true }),
    toParent,
    toChild,
    violations,
    strays,
  };
}
