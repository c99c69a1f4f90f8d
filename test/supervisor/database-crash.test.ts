import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { verifyChain } from '../../supervisor/audit-chain.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { openDatabase } from '../../supervisor/database.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { testFolder } from '../support/test-folder.ts';

const writer = join(import.meta.dirname, '..', 'support', 'write-rows.ts');

/** Runs the writer until it has acknowledged so many, kills it there, and returns all that it acknowledged. */
async function writeAndKill(directory: string, first: number, count: number): Promise<string[]> {
  const child = spawn(process.execPath, [writer, directory, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const acknowledged: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    acknowledged.push(line);
    if (acknowledged.length === count) child.kill('SIGKILL');
  });
  await once(child, 'close');
  return acknowledged;
}

t.test('given a process that is killed while it writes, when the database is opened, then all it acknowledged is there', async (t) => {
  const directory = testFolder(t);
  let acknowledged: string[] = [];
  for (let round = 1; round <= 4; round++) {
    acknowledged = acknowledged.concat(await writeAndKill(directory, round * 1_000_000, randomInt(1, 1500)));
    const database = await openDatabase({ file: join(directory, 'lattice.db'), clock: createRealClock(), log: createQuietLog() });

    const rows = await database.read.all<{ request_id: string }>('SELECT request_id FROM audit');
    const entries = await database.read.all<{ key: string }>("SELECT key FROM kv_entries WHERE bucket = 'plugin:example.rows'");
    const counters = await database.read.get('SELECT keys FROM kv_buckets');
    const verdict = await verifyChain(database.read, database.head());
    await database.close();

    const inAudit = new Set(rows.map((row) => row.request_id));
    const inStore = new Set(entries.map((row) => row.key));
    t.same(
      acknowledged.filter((name) => !inAudit.has(name)),
      [],
      `round ${round}: no acknowledged row is lost`,
    );
    t.same(
      acknowledged.filter((name) => Number(name) % 2 === 1 && !inStore.has(name)),
      [],
      `round ${round}: no acknowledged entry is lost`,
    );
    t.same(
      [...inStore].filter((name) => !inAudit.has(name)),
      [],
      `round ${round}: no entry is without its row`,
    );
    t.same(counters, { keys: inStore.size }, `round ${round}: the counter is exact`);
    t.match(verdict, { ok: true, rows: rows.length }, `round ${round}: the chain is whole`);
  }
});
