import { join } from 'node:path';
import type { Test } from 'tap';
import type { Clock } from '../../supervisor/clock.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { type Database, openDatabase } from '../../supervisor/database.ts';
import { createQuietLog } from './quiet-log.ts';
import { testFolder } from './test-folder.ts';

/** A database of its own for one test, closed when the test ends. */
export async function openTempDatabase(t: Test, clock: Clock = createRealClock()): Promise<Database> {
  const database = await openDatabase({ file: join(testFolder(t), 'lattice.db'), clock, log: createQuietLog() });
  t.teardown(() => database.close());
  return database;
}
