import { lstatSync, readdirSync } from 'node:fs';
import { HostError } from '../../protocol/errors.ts';

/** A range that systemd's table of user ids leaves to nobody: below its dynamic users, above the ids of people and homes. */
export const childUids = { first: 60_578, last: 61_183 } as const;

export type UidLease = { uid: number; release(): void };
export type UidPool = { take(): UidLease };

const count = childUids.last - childUids.first + 1;

/**
 * As root each running child has a uid, and a group, of its own: children cannot signal or trace each other, and NPROC counts one alone.
 * The search begins at a place of this service's own, so that two services on a host do not meet at the same uid in the same moment.
 */
export function createUidPool(owners: () => Map<number, number[]> = processesByUid, start = process.pid): UidPool {
  const taken = new Map<number, UidLease>();
  return {
    take() {
      // A uid that still runs something (a straggler, another service on this host) is passed over.
      const busy = owners();
      for (let step = 0; step < count; step++) {
        const uid = childUids.first + ((start + step) % count);
        if (taken.has(uid) || busy.has(uid)) continue;
        const lease = { uid, release: () => void (taken.get(uid) === lease && taken.delete(uid)) };
        taken.set(uid, lease);
        return lease;
      }
      throw new HostError('unavailable', `all ${count} user ids for children are in use`, {
        hint: `stop plugins, or end what else runs under uids ${childUids.first} to ${childUids.last}`,
      });
    },
  };
}

/** Which processes of the children's range run, by uid. */
export function processesByUid(procRoot = '/proc'): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const name of readdirSync(procRoot)) {
    if (!/^\d+$/.test(name)) continue;
    const uid = ownerOf(`${procRoot}/${name}`);
    if (uid === undefined || uid < childUids.first || uid > childUids.last) continue;
    found.set(uid, [...(found.get(uid) ?? []), Number(name)]);
  }
  return found;
}

function ownerOf(path: string): number | undefined {
  try {
    return lstatSync(path).uid;
  } catch {
    return undefined; // ended since it was listed
  }
}
