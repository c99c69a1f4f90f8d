import type { Origin } from './address.ts';
import type { State } from './state.ts';

/*
 * Where only keys are allowed, sshd writes no `Failed` line for an attempt: it says `Invalid user`, or that the connection ended while
 * authenticating. So a connection counts when it is first heard of, and a `Failed` line of it that was counted in advance does not again.
 */
const keyOf = ({ address, port }: Origin): string | null => (port === null ? null : `${address} ${port}`);

/** True when this connection has not been heard of. `inAdvance`: it counts for a failed line that is still to come. */
export function openConnection(state: State, origin: Origin, inAdvance: boolean): boolean {
  const key = keyOf(origin);
  if (key === null || state.connections[key] !== undefined) return false;
  state.connections[key] = { counted: inAdvance ? 1 : 0, used: ++state.sequence };
  return true;
}

/** How many failures of this connection have been counted in advance; asking uses them up. */
export function takeCounted(state: State, origin: Origin): number {
  const key = keyOf(origin);
  if (key === null) return 0;
  const counted = state.connections[key]?.counted ?? 0;
  state.connections[key] = { counted: 0, used: ++state.sequence };
  return counted;
}
