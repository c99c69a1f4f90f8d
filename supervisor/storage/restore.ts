import { constants } from 'node:fs';
import { chmod, copyFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import type { Head } from '../audit-chain.ts';
import { readHeadFile } from '../audit-head.ts';
import { type Clock, timestamp } from '../clock.ts';
import { replaceFile, syncFile } from '../durable-file.ts';
import { proveChain } from './back-up.ts';
import { inspectDatabase } from './inspect-database.ts';
import { endSafeMode, readSafeMode, setAside, sizeOrNull } from './set-aside.ts';

export type Restored = { head: Head; set_aside: string | null; lost_rows: number };

/** The caller holds the lock of the data directory, here and in the other functions. */
export async function restore(dataDir: string, backup: string, clock: Clock): Promise<Restored> {
  if (((await sizeOrNull(`${backup}-wal`)) ?? 0) > 0) {
    throw new HostError('invalid-params', 'a log stands beside this file: it is a copy of a database in use, and not whole without it', {
      rule: 'not-a-backup',
      hint: 'restore what `lattice db backup` wrote',
    });
  }
  return replaceDatabase(dataDir, clock, (candidate) => copyFile(backup, candidate, constants.COPYFILE_EXCL));
}

/**
 * Puts a database in the place of the present one, which is set aside. The new one is proved before anything moves: its own checks, its audit
 * from the first row, and against `audit.head` as far as both go. Cut off in between, the service starts in safe mode with both files there.
 */
export async function replaceDatabase(dataDir: string, clock: Clock, make: (candidate: string) => Promise<unknown>): Promise<Restored> {
  const [file, headFile] = [join(dataDir, 'lattice.db'), join(dataDir, 'audit.head')];
  const candidate = join(dataDir, 'lattice-restored.db');
  for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(candidate + suffix, { force: true });
  try {
    await make(candidate);
    await chmod(candidate, 0o600);
    const head = await prove(candidate, dataDir);
    await syncFile(candidate);
    const recorded = await readHeadFile(headFile);
    const before = await readSafeMode(dataDir);
    const kept = await setAside(file, { rule: 'restoring', detail: 'a backup was being put in its place' }, timestamp(clock));
    if (recorded !== null) await rename(headFile, `${join(dataDir, kept.set_aside ?? before?.set_aside ?? 'lattice-set-aside')}.head`);
    await replaceFile(headFile, `${JSON.stringify(head)}\n`);
    await rename(candidate, file);
    await endSafeMode(dataDir);
    return { head, set_aside: kept.set_aside ?? before?.set_aside ?? null, lost_rows: Math.max(0, (recorded?.seq ?? 0) - head.seq) };
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(candidate + suffix, { force: true });
  }
}

/** Against the recorded head only where the candidate reaches it: a backup is older than what it is to replace. */
async function prove(candidate: string, dataDir: string): Promise<Head> {
  const { fault } = await inspectDatabase(candidate, join(dataDir, 'no-head'));
  if (fault)
    throw new HostError('verification-failed', `this cannot be used: ${fault.detail}`, { rule: fault.rule, hint: 'take another backup' });
  const recorded = await readHeadFile(join(dataDir, 'audit.head'));
  const head = await proveChain(candidate, null);
  return recorded !== null && recorded.seq <= head.seq ? proveChain(candidate, recorded) : head;
}
