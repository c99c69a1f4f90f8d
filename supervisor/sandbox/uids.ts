import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { type FileLock, lockFile } from '../file-lock.ts';
import { createKeyedQueue } from '../keyed-queue.ts';
import { makeOwnFolder, runtimeFolder } from './root-folder.ts';

/** A range that systemd's table of user ids leaves to nobody: below its dynamic users, above the ids of people and homes. */
export const childUids = { first: 60_578, last: 61_183 } as const;

export type UidLease = { uid: number; release(): void };
export type UidPool = { take(): Promise<UidLease> };
export type UidPoolOptions = {
  /** Where the services of a machine claim them; only root may reach into it. */
  folder?: string;
  owners?: () => Map<number, number[]>;
  start?: number;
};

const blockSize = 6; // uids that a service claims at once: enough for most, and a hundred services find some
const blockCount = Math.floor((childUids.last - childUids.first + 1) / blockSize);

/**
 * As root each running child has a uid, and a group, of its own: children cannot signal or trace each other, NPROC counts one alone, and
 * what runs under it is known to be the child's. So no two services of a machine may give out the same one: each claims blocks of them, by
 * locks that the kernel frees with the service, and keeps a block until it ends.
 */
export function createUidPool({ folder, owners = processesByUid, start = process.pid }: UidPoolOptions = {}): UidPool {
  const taken = new Map<number, UidLease>();
  const claims = new Map<number, FileLock>(); // by the first uid of a block; a lock that nobody refers to would be collected, and free
  const queue = createKeyedQueue(); // two that look at once would take the same
  // Seen to run nothing, and nothing was started under them since: to look at all processes of a machine for each of 300 starts takes a second.
  const idle = new Set<number>();

  function lend(uid: number): UidLease {
    const lease: UidLease = {
      uid,
      release() {
        if (taken.get(uid) === lease) taken.delete(uid);
        idle.clear();
      },
    };
    taken.set(uid, lease);
    idle.delete(uid);
    return lease;
  }

  /** A uid that still runs something, a straggler of a service that ended, is passed over. */
  function findFree(): number | undefined {
    if (idle.size === 0) {
      const busy = owners();
      const ours = [...claims.keys()].flatMap((first) => Array.from({ length: blockSize }, (_, step) => first + step));
      for (const uid of ours) if (!taken.has(uid) && !busy.has(uid)) idle.add(uid);
    }
    return idle.values().next().value;
  }

  /** Begins at a place of this service's own, so that services that start together seldom ask for the same. */
  async function claimBlock(): Promise<boolean> {
    const where = folder ?? (await makeClaimFolder());
    for (let step = 0; step < blockCount; step++) {
      const first = childUids.first + ((start + step) % blockCount) * blockSize;
      const lock = claims.has(first) ? null : await lockFile(join(where, `${first}.lock`));
      if (lock === null) continue;
      claims.set(first, lock);
      return true;
    }
    return false;
  }

  async function take(): Promise<UidLease> {
    for (;;) {
      const uid = findFree();
      if (uid !== undefined) return lend(uid);
      if (!(await claimBlock()))
        throw new HostError('unavailable', 'all user ids for children are in use or claimed by other services', {
          hint: `stop plugins or services, or end what else runs under uids ${childUids.first} to ${childUids.last}`,
        });
    }
  }

  return { take: () => queue.run('take', take) };
}

async function makeClaimFolder(): Promise<string> {
  await makeOwnFolder(runtimeFolder, 0o755);
  const folder = join(runtimeFolder, 'uids');
  await makeOwnFolder(folder, 0o700);
  return folder;
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
