import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { asDiskError, diskFaults } from '../disk-fault.ts';
import { createPrivateFile } from '../durable-file.ts';

const roomBytes = 256 * 1024; // what the first changes after a start need: the log of the database, the heads, the generations

/** Tries what every change needs, so that a start on a disk that takes nothing is refused in one line, and before anything was touched. */
export async function checkWritable(dataDir: string): Promise<void> {
  const file = join(dataDir, `write-check-${process.pid}`);
  try {
    await rm(file, { force: true }); // left by a crash
    await createPrivateFile(file, '\n'.repeat(roomBytes));
  } catch (thrown) {
    throw explain(thrown);
  } finally {
    await rm(file, { force: true }).catch(() => undefined);
  }
}

function explain(thrown: unknown): HostError {
  const known = asDiskError(thrown);
  const { rule, hint } = known instanceof HostError ? known.details : diskFaults.notOurs;
  const word = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown';
  return new HostError(
    'storage-unavailable',
    rule === diskFaults.full.rule
      ? `the disk of the data directory has no room for ${roomBytes / 1024} KiB: ${word}`
      : `the data directory cannot be written: ${word}`,
    { rule, hint: `${String(hint).replace(/; the service goes on.*$/, '')}, then start the service again` },
    { cause: thrown },
  );
}
