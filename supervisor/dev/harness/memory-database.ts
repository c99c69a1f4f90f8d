import { join } from 'node:path';
import sqlite3 from 'sqlite3';
import type { Clock } from '../../clock.ts';
import type { Database } from '../../database.ts';
import { openGroupCommit } from '../../group-commit.ts';
import type { Log } from '../../log.ts';
import { migrate } from '../../migrate.ts';
import { openConnection } from '../../sqlite-connection.ts';

const migrations = join(import.meta.dirname, '../../migrations');
const inMemory = sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE | sqlite3.OPEN_FULLMUTEX;

/**
 * The service's own tables and writer on SQLite in memory, so that the mocks obey the very rules of the real thing. One connection serves reads
 * and writes: a read may see what the batch under way has written, which here nobody can tell from a batch that was quicker.
 */
export async function openMemoryDatabase(deps: { clock: Clock; log: Log }): Promise<Database> {
  const connection = await openConnection(':memory:', inMemory);
  await migrate(connection, migrations);
  for (const pragma of ['foreign_keys = ON', 'recursive_triggers = ON']) await connection.all(`PRAGMA ${pragma}`);
  const group = await openGroupCommit({ ...deps, connection });
  return {
    read: { run: connection.run, all: connection.all, get: connection.get },
    write: group.write,
    append: group.append,
    head: group.head,
    commits: group.commits,
    fault: () => null,
    async close() {
      await group.end();
      await connection.close();
    },
  };
}
