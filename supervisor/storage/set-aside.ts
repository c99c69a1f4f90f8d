import { readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { HostError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';
import { replaceFile, syncDirectory } from '../durable-file.ts';
import type { DatabaseFault } from './inspect-database.ts';

const record = z.strictObject({
  since: z.string(),
  rule: z.string(),
  detail: z.string(),
  set_aside: z.string().nullable(), // the file's new name in the data directory; null when there was none to keep
});
export type SafeModeRecord = z.output<typeof record>;

export const safeModeFile = 'safe-mode.json';
const beside = ['-wal', '-shm'] as const;

/** Null when the service was not in safe mode. One that cannot be read counts: what is in doubt stays safe. */
export async function readSafeMode(dataDir: string): Promise<SafeModeRecord | null> {
  const text = await readFile(join(dataDir, safeModeFile), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new HostError('storage-unavailable', `${safeModeFile} cannot be read`, { hint: 'check its owner' }, { cause: error });
  });
  if (text === null) return null;
  try {
    return record.parse(parseJson(text));
  } catch {
    return { since: '', rule: 'safe-mode-unreadable', detail: `${safeModeFile} is damaged`, set_aside: null };
  }
}

/**
 * Moves a database that cannot be used out of the way, with its log, under a name with the date; nothing is removed or written over. The
 * record comes first and the database before its log: cut off at any point, the next start finds a record, and never a database without
 * the log that completes it.
 */
export async function setAside(file: string, fault: DatabaseFault, time: string): Promise<SafeModeRecord> {
  const dataDir = dirname(file);
  const isThere = (await sizeOrNull(file)) !== null;
  const hasLog = (await sizeOrNull(`${file}-wal`)) !== null;
  const kept = isThere || hasLog ? await freeName(dataDir, time) : null;
  const written: SafeModeRecord = { since: time, ...fault, set_aside: kept };
  await replaceFile(join(dataDir, safeModeFile), `${JSON.stringify(written)}\n`);
  if (isThere && kept) await rename(file, join(dataDir, kept));
  await finishSetAside(file, written);
  return written;
}

/** What a crash left of the move: the log of a database that has already gone. */
export async function finishSetAside(file: string, { set_aside: kept }: SafeModeRecord): Promise<void> {
  if (kept !== null)
    for (const suffix of beside) {
      const target = join(dirname(file), `${kept}${suffix}`);
      if ((await sizeOrNull(file + suffix)) !== null && (await sizeOrNull(target)) === null) await rename(file + suffix, target);
    }
  await syncDirectory(dirname(file));
}

export async function endSafeMode(dataDir: string): Promise<void> {
  await rm(join(dataDir, safeModeFile), { force: true });
  await syncDirectory(dataDir);
}

async function freeName(dataDir: string, time: string): Promise<string> {
  const stem = `lattice-set-aside-${time.slice(0, 19).replaceAll(':', '')}Z`;
  for (let count = 1; ; count++) {
    const name = `${stem}${count === 1 ? '' : `-${count}`}.db`;
    const taken = await Promise.all(['', ...beside].map((suffix) => sizeOrNull(join(dataDir, name + suffix))));
    if (taken.every((size) => size === null)) return name;
  }
}

export const sizeOrNull = (file: string): Promise<number | null> =>
  stat(file).then(
    ({ size }) => size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    },
  );
