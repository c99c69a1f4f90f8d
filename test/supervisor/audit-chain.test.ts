import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { chainHash, type Head, holdsHead, verifyChain } from '../../supervisor/audit-chain.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { type Database, openDatabase, type Sql } from '../../supervisor/database.ts';
import { openForgedCopy } from '../support/audit-copy.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { openTempDatabase } from '../support/temp-database.ts';
import { testFolder } from '../support/test-folder.ts';

const rows = 30;
const entryOf = (index: number): AuditEntry => ({
  kind: 'host.decision',
  plugin: `example.p${index % 3}`,
  generation: index,
  method: 'kv.get',
  verdict: index % 2 ? 'allow' : 'deny',
  requestId: `r-${index}`,
  summary: JSON.stringify({ key: index }),
});

async function fill(database: Database): Promise<void> {
  await Promise.all(Array.from({ length: rows }, (_, index) => database.append(entryOf(index))));
}

async function openForged(t: Test): Promise<{ sql: Sql; forge(sql: string): Promise<void>; head: Head }> {
  const directory = testFolder(t);
  const database = await openDatabase({ file: join(directory, 'lattice.db'), clock: createRealClock(), log: createQuietLog() });
  await fill(database);
  const head = database.head();
  const connection = await openForgedCopy(t, directory, database);
  return { sql: connection, forge: connection.exec, head };
}

const swap = (one: number, two: number) =>
  `UPDATE audit SET seq = -1 WHERE seq = ${one}; UPDATE audit SET seq = ${one} WHERE seq = ${two}; UPDATE audit SET seq = ${two} WHERE seq = -1`;
const attacks: { what: string; forge: string; expected: { seq: number; reason: string } }[] = [
  ...['time', 'kind', 'plugin', 'actor', 'method', 'verdict', 'code', 'rule', 'request_id', 'summary', 'hash'].map((column) => ({
    what: `the ${column} of a row is changed`,
    forge: `UPDATE audit SET ${column} = 'other' WHERE seq = 12`,
    expected: { seq: 12, reason: 'changed' },
  })),
  {
    what: 'the generation of a row is changed',
    forge: 'UPDATE audit SET generation = 7 WHERE seq = 12',
    expected: { seq: 12, reason: 'changed' },
  },
  { what: 'none becomes an empty text', forge: "UPDATE audit SET code = '' WHERE seq = 12", expected: { seq: 12, reason: 'changed' } },
  { what: 'the first row is changed', forge: "UPDATE audit SET actor = 'x' WHERE seq = 1", expected: { seq: 1, reason: 'changed' } },
  { what: 'the last row is changed', forge: "UPDATE audit SET actor = 'x' WHERE seq = 30", expected: { seq: 30, reason: 'changed' } },
  { what: 'a row is deleted', forge: 'DELETE FROM audit WHERE seq = 12', expected: { seq: 12, reason: 'missing' } },
  { what: 'the first rows are deleted', forge: 'DELETE FROM audit WHERE seq < 5', expected: { seq: 1, reason: 'missing' } },
  { what: 'neighbours are swapped', forge: swap(12, 13), expected: { seq: 12, reason: 'reordered' } },
  { what: 'rows of different chunks are swapped', forge: swap(7, 12), expected: { seq: 7, reason: 'reordered' } },
  {
    what: 'a row is slipped in before the first',
    forge:
      'INSERT INTO audit SELECT 0, time, kind, plugin, generation, actor, method, verdict, code, rule, request_id, summary, hash FROM audit WHERE seq = 1',
    expected: { seq: 1, reason: 'reordered' },
  },
  {
    what: 'a row is added at the end',
    forge:
      'INSERT INTO audit SELECT 31, time, kind, plugin, generation, actor, method, verdict, code, rule, request_id, summary, hash FROM audit WHERE seq = 30',
    expected: { seq: 31, reason: 'changed' },
  },
  {
    what: 'the end is cut off',
    forge: 'DELETE FROM audit WHERE seq > 25',
    expected: { seq: 26, reason: 'shorter than the recorded head' },
  },
  { what: 'everything is cut off', forge: 'DELETE FROM audit', expected: { seq: 1, reason: 'shorter than the recorded head' } },
];

for (const { what, forge, expected } of attacks) {
  for (const chunk of [8, 1000]) {
    t.test(`given a chain, when ${what}, then verifying in chunks of ${chunk} says where and why`, async (t) => {
      const copy = await openForged(t);
      await copy.forge(forge);

      t.same(await verifyChain(copy.sql, copy.head, { chunk }), { ok: false, ...expected });
    });
  }
}

t.test('given a chain, when it is computed anew from a changed row on, then the recorded head tells', async (t) => {
  const copy = await openForged(t);
  await copy.forge("UPDATE audit SET actor = 'somebody else' WHERE seq = 28");
  const all = await copy.sql.all<Record<string, unknown>>('SELECT * FROM audit WHERE seq >= 27 ORDER BY seq');
  let previous = String(all[0]?.hash);
  for (const { hash: _hash, ...columns } of all.slice(1)) {
    previous = chainHash(previous, JSON.stringify(Object.values(columns)));
    await copy.forge(`UPDATE audit SET hash = '${previous}' WHERE seq = ${columns.seq}`);
  }

  t.match(await verifyChain(copy.sql, null), { ok: true });
  t.same(await verifyChain(copy.sql, copy.head), { ok: false, seq: 30, reason: 'different from the recorded head' });
});

t.test('given a whole chain, when it is verified in chunks of any size, then it says how many rows and the head', async (t) => {
  const database = await openTempDatabase(t);
  await fill(database);

  for (const chunk of [1, 7, 15, 30, 31]) {
    t.same(await verifyChain(database.read, database.head(), { chunk }), { ok: true, rows, head: database.head() }, String(chunk));
  }
});

t.test('given a recorded head that is behind the table, when the chain is verified, then it is whole', async (t) => {
  const database = await openTempDatabase(t);
  await fill(database);
  const head = database.head();
  await fill(database);

  t.match(await verifyChain(database.read, head), { ok: true, rows: 2 * rows });
});

t.test('given no rows, when the chain is verified, then it is whole and empty', async (t) => {
  const database = await openTempDatabase(t);

  t.same(await verifyChain(database.read, null), { ok: true, rows: 0, head: { seq: 0, hash: '0'.repeat(64) } });
});

t.test('given a head, when the table is asked for it, then it has that very row or not', async (t) => {
  const database = await openTempDatabase(t);
  await fill(database);
  const head = database.head();

  t.equal(await holdsHead(database.read, head), true);
  t.equal(await holdsHead(database.read, { ...head, hash: 'f'.repeat(64) }), false);
  t.equal(await holdsHead(database.read, { ...head, seq: head.seq + 1 }), false);
  t.equal(await holdsHead(database.read, { seq: 0, hash: '0'.repeat(64) }), true);
});
