import { chmodSync, closeSync, constants, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { lstat, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { type CanaryFacts, isRefusedBeforeAnyPacket, type Outcomes } from './canary.ts';
import { createNonce, openListener } from './probe-listener.ts';
import { makeOwnFolder, runtimeFolder } from './root-folder.ts';
import { isReachableByOthers } from './trusted-path.ts';

const prefix = 'lattice-probe-';
const staleMs = 10 * 60_000; // a probe takes some seconds at most: what is left after this was cut off
const publicFiles = ['/etc/passwd', '/etc/group', '/bin/sh'];

/** What was seen of a canary from this side: its own word is not all there is to go by. */
export type Seen = {
  reached: boolean;
  /** Why it proves nothing that the canary did not reach its target; null when it does. */
  fault: string | null;
};
export type ProbeTarget = Awaited<ReturnType<typeof openProbeTarget>>;
type TargetDeps = { clock: Clock; where?: string };

/** Where the target of a canary lies: as root with a uid of its own, it could not reach into a folder that is only the service's. */
const targetFolder = (ownUids: boolean): string => (ownUids ? runtimeFolder : tmpdir());

/**
 * What one canary tries to reach: a socket on loopback, and files that it could read and write if nothing held it. Only who knows what this
 * canary alone was told counts as reaching it. `uid`: the canary's own, null for the service's.
 */
export async function openProbeTarget(uid: number | null, { clock, where = targetFolder(uid !== null) }: TargetDeps) {
  if (where === runtimeFolder) await makeOwnFolder(where, 0o755);
  const listener = await openListener(clock);
  try {
    const folder = mkdtempSync(join(where, prefix));
    const nonce = createNonce();
    const file = createFile(folder, uid !== null);
    const readable = publicFiles.find((path) => isReachableByOthers(path, 'read')) ?? '/etc/passwd';
    const facts: Omit<CanaryFacts, 'program'> = {
      ...{ port: listener.port, nonce, supervisorPid: process.pid },
      ...{ readable, writable: file.path },
    };

    /** What the canary was stopped at must have been there to reach, for others as well as before. */
    async function findFault(outcomes: Outcomes): Promise<string | null> {
      if (!isReachableByOthers(readable, 'read')) return 'no file of the host that everybody may read was found';
      if (!file.canBeWritten()) return 'its file was taken away meanwhile';
      if (isRefusedBeforeAnyPacket(outcomes['reach-loopback']) || (await listener.answers())) return null;
      return 'its port did not answer from outside the sandbox either';
    }

    return {
      facts,
      /** Looks when the canary has ended. */
      async look(outcomes: Outcomes | undefined): Promise<Seen> {
        const wasWritten = file.read().includes(nonce);
        const fault = outcomes === undefined ? null : await findFault(outcomes);
        await setImmediate(); // what has arrived is read
        return { reached: wasWritten || listener.wasTold(nonce), fault };
      },
      async close(): Promise<void> {
        rmSync(folder, { recursive: true, force: true });
        await listener.close();
      },
    };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** A name that nobody else is told, in a folder that nobody else can list: so it may be open to others, of whom the canary is one. */
function createFile(folder: string, forOthers: boolean) {
  const path = join(folder, createNonce());
  const fd = openSync(path, 'wx', 0o600);
  const { ino } = fstatSync(fd);
  closeSync(fd);
  const mode = forOthers ? 0o666 : 0o600;
  chmodSync(path, mode);
  if (forOthers) chmodSync(folder, 0o711);

  function read(): string {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return '';
    }
  }
  return {
    path,
    read,
    canBeWritten(): boolean {
      try {
        const again = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW);
        try {
          const found = fstatSync(again);
          const word = createNonce();
          writeSync(again, word);
          return found.ino === ino && (found.mode & 0o777) === mode && read().includes(word);
        } finally {
          closeSync(again);
        }
      } catch {
        return false;
      }
    },
  };
}

/** Removes what probes of this user left that were killed, where they lie now and where they lay before. */
export async function removeStaleTargets(ownUids: boolean, wallMs: number, folders = [tmpdir(), targetFolder(ownUids)]): Promise<void> {
  for (const where of new Set(folders)) {
    if (!(await isSafe(where))) continue;
    const names = await readdir(where).catch(() => []);
    for (const name of names.filter((each) => each.startsWith(prefix))) await removeStale(join(where, name), wallMs);
  }
}

/** Where nobody else can put a link in the place of what is ours while it is being removed. */
async function isSafe(where: string): Promise<boolean> {
  const found = await stat(where).catch(() => null);
  if (found === null || (found.uid !== 0 && found.uid !== process.getuid?.())) return false;
  return (found.mode & 0o022) === 0 || (found.mode & 0o1000) !== 0;
}

async function removeStale(folder: string, wallMs: number): Promise<void> {
  const found = await lstat(folder).catch(() => null);
  if (!found?.isDirectory() || found.uid !== process.getuid?.() || wallMs - found.mtimeMs <= staleMs) return;
  await rm(folder, { recursive: true, force: true }).catch(() => {}); // it harms nobody
}
