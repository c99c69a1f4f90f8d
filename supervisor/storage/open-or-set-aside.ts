import { dirname, join } from 'node:path';
import { type Clock, timestamp } from '../clock.ts';
import { type Database, openDatabase } from '../database.ts';
import type { Reach } from '../failpoints.ts';
import type { Log } from '../log.ts';
import { type DatabaseFault, inspectDatabase } from './inspect-database.ts';
import { endSafeMode, finishSetAside, readSafeMode, type SafeModeRecord, setAside, sizeOrNull } from './set-aside.ts';

export type Opened = { database: Database; safeMode: null } | { database: null; safeMode: SafeModeRecord };

/**
 * Opens the database if it is whole. One that is damaged, foreign or lost is moved aside and leaves the service in safe mode, until an
 * operator has put a whole one in its place: an empty one never takes it by itself.
 */
export async function openOrSetAside(deps: { file: string; headFile: string; clock: Clock; log: Log; reach?: Reach }): Promise<Opened> {
  const { file, headFile, clock, log, reach } = deps;
  const dataDir = dirname(file);
  const before = await readSafeMode(dataDir);
  if (before !== null && (await sizeOrNull(file)) === null) {
    await finishSetAside(file, before);
    return { database: null, safeMode: before };
  }
  const { fault } = await inspectDatabase(file, headFile);
  if (fault !== null) return { database: null, safeMode: await setAsideAndTell(file, fault, deps) };
  const database = await openDatabase({ file, clock, log, ...(reach ? { reach } : {}) });
  if (before !== null) {
    await endSafeMode(dataDir);
    log.info('service.safe-mode.over', { since: before.since, rule: before.rule });
  }
  return { database, safeMode: null };
}

async function setAsideAndTell(file: string, fault: DatabaseFault, { clock, log }: { clock: Clock; log: Log }): Promise<SafeModeRecord> {
  const record = await setAside(file, fault, timestamp(clock));
  log.error('database.set-aside', { ...fault, name: record.set_aside === null ? null : join(dirname(file), record.set_aside) });
  return record;
}
