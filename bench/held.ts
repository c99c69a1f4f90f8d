import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { runtimeFolder } from '../supervisor/sandbox/root-folder.ts';
import { createUidPool, type UidPool } from '../supervisor/sandbox/uids.ts';
import { findDescendants } from '../test/support/process-tree.ts';

/** What this process holds of the kernel's at one moment, beyond memory. */
export type Held = { descriptors: number; processes: number; zombies: number; uids: number; handles: Record<string, number> };

export function countLeases(change: (by: number) => void): UidPool {
  const pool = createUidPool();
  return {
    async take() {
      const lease = await pool.take();
      change(1);
      let released = false;
      return {
        uid: lease.uid,
        release() {
          lease.release();
          if (!released) change(-1);
          released = true;
        },
      };
    },
  };
}

export function lookAround(): Omit<Held, 'uids'> {
  const handles: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) if (name !== 'Immediate') handles[name] = (handles[name] ?? 0) + 1;
  return {
    descriptors: readdirSync('/proc/self/fd').filter((fd) => !isClaim(fd)).length,
    processes: findDescendants(process.pid).length,
    zombies: countZombies(),
    handles,
  };
}

/** A claim of uids is kept on purpose; how many there are depends on how fast the kernel clears away what ended. */
function isClaim(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${runtimeFolder}/uids/`);
  } catch {
    return false; // the one that the listing itself used
  }
}

function countZombies(): number {
  const ours = new RegExp(`\\) Z ${process.pid} `);
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && ours.test(readFileSync(`/proc/${name}/stat`, 'latin1'));
    } catch {
      return false; // ended meanwhile
    }
  }).length;
}

/** Pipes close a moment after the exit: looks again, for a bounded number of turns, until it is as it should be. */
export async function settleTo(look: () => Held, isSettled: (held: Held) => boolean): Promise<Held> {
  let held = look();
  for (let turn = 0; turn < 2_000 && !isSettled(held); turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    held = look();
  }
  return held;
}
