import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createRealClock } from '../../supervisor/clock.ts';
import { type Database, openDatabase } from '../../supervisor/database.ts';
import { replaceFile } from '../../supervisor/durable-file.ts';
import { createKvStore } from '../../supervisor/kv-store.ts';
import { createTokens } from '../../supervisor/tokens.ts';
import { createQuietLog } from './quiet-log.ts';

/** A data directory with a bit of everything in its database, which is still open, and the head of its audit in its file. */
export async function makeDatabase(dataDir: string, rows = 60): Promise<Database> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const clock = createRealClock();
  const database = await openDatabase({ file: join(dataDir, 'lattice.db'), clock, log: createQuietLog() });
  await createTokens({ database, clock }).ensureAdmin(dataDir);
  const kv = createKvStore({ database, quota: { keys: 1000, bytes: 1_000_000 } });
  for (let count = 0; count < rows; count++) {
    const entry = { kind: 'host.decision', plugin: 'example.made', method: 'kv.put', verdict: 'allow', requestId: `r-${count}` } as const;
    await kv.put('plugin:example.made', `key-${count % 20}`, `value ${count} `.repeat(20), undefined, entry);
  }
  await replaceFile(join(dataDir, 'audit.head'), `${JSON.stringify(database.head())}\n`);
  return database;
}
