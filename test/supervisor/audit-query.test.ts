import t from 'tap';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { type AuditFilter, queryAudit } from '../../supervisor/audit-query.ts';
import type { Database } from '../../supervisor/database.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openTempDatabase } from '../support/temp-database.ts';

const entries: AuditEntry[] = [
  { kind: 'service.start' },
  { kind: 'host.decision', plugin: 'example.a', method: 'kv.get', verdict: 'allow' },
  { kind: 'host.decision', plugin: 'example.b', method: 'kv.put', verdict: 'deny', code: 'capability-denied' },
  { kind: 'token.change', actor: 't-1' },
  { kind: 'host.decision', plugin: 'example.a', method: 'kv.put', verdict: 'deny', code: 'rate-limited', actor: 't-1' },
  { kind: 'host.outcome', plugin: 'example.a', method: 'http.fetch', code: 'done' },
  { kind: 'service.stop' },
];

/** One row a second from the start of 2026 on. */
async function fill(t: Parameters<typeof openTempDatabase>[0]): Promise<Database> {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  for (const entry of entries) {
    await database.append(entry);
    clock.setWall(clock.wallMs() + 1000);
  }
  return database;
}

const cases: { name: string; filter: Omit<AuditFilter, 'limit'> & { limit?: number }; expected: number[] }[] = [
  { name: 'no filter', filter: {}, expected: [1, 2, 3, 4, 5, 6, 7] },
  { name: 'newest first', filter: { newestFirst: true }, expected: [7, 6, 5, 4, 3, 2, 1] },
  { name: 'a limit', filter: { limit: 2 }, expected: [1, 2] },
  { name: 'a limit, newest first', filter: { limit: 2, newestFirst: true }, expected: [7, 6] },
  { name: 'after a row', filter: { afterSeq: 5 }, expected: [6, 7] },
  { name: 'after a row, newest first', filter: { afterSeq: 3, newestFirst: true }, expected: [2, 1] },
  { name: 'after the last row', filter: { afterSeq: 7 }, expected: [] },
  { name: 'a plugin', filter: { plugin: 'example.a' }, expected: [2, 5, 6] },
  { name: 'a rare kind', filter: { kind: 'token.change' }, expected: [4] },
  { name: 'a frequent kind', filter: { kind: 'host.outcome' }, expected: [6] },
  { name: 'denials', filter: { verdict: 'deny' }, expected: [3, 5] },
  { name: 'denials of a plugin', filter: { verdict: 'deny', plugin: 'example.b' }, expected: [3] },
  { name: 'what was allowed', filter: { verdict: 'allow' }, expected: [2] },
  { name: 'a method', filter: { method: 'kv.put' }, expected: [3, 5] },
  { name: 'an actor', filter: { actor: 't-1', newestFirst: true }, expected: [5, 4] },
  { name: 'a code', filter: { code: 'rate-limited' }, expected: [5] },
  { name: 'since a moment', filter: { since: '2026-01-01T00:00:05Z' }, expected: [6, 7] },
  { name: 'until a moment', filter: { until: '2026-01-01T00:00:02.000Z' }, expected: [1, 2] },
  { name: 'a moment in another zone', filter: { since: '2026-01-01T02:00:06+02:00' }, expected: [7] },
  {
    name: 'all at once',
    filter: {
      plugin: 'example.a',
      kind: 'host.decision',
      verdict: 'deny',
      method: 'kv.put',
      actor: 't-1',
      code: 'rate-limited',
      since: '2026-01-01T00:00:00Z',
      until: '2026-01-02T00:00:00Z',
      newestFirst: true,
    },
    expected: [5],
  },
  { name: 'a text that is no name', filter: { plugin: "' OR 1 = 1 --" }, expected: [] },
];

for (const { name, filter, expected } of cases) {
  t.test(`given seven rows, when they are asked for with ${name}, then those answer`, async (t) => {
    const database = await fill(t);

    const rows = await queryAudit(database.read, { limit: 100, ...filter });

    t.same(
      rows.map((row) => row.seq),
      expected,
    );
  });
}

t.test('given an empty audit, when it is asked, then it answers with no row', async (t) => {
  const database = await openTempDatabase(t);

  t.same(await queryAudit(database.read, { limit: 10 }), []);
});

t.test('given a time that is none, when it is a filter, then it is refused', async (t) => {
  const database = await openTempDatabase(t);

  await t.rejects(queryAudit(database.read, { limit: 10, since: 'yesterday' }), { code: 'invalid-params', details: { hint: String } });
});

const rows = 25_010;
const walks: [name: string, filter: Omit<AuditFilter, 'limit'>][] = [
  ['a method', { method: 'kv.put' }],
  ['a method of a plugin', { method: 'kv.put', plugin: 'example.many' }],
  ['a method of a plugin with few rows', { method: 'kv.put', plugin: 'example.few' }],
  ['a method among denials', { method: 'kv.put', verdict: 'deny' }],
  ['an actor among rows of a rare kind', { actor: 't-1', kind: 'kv.change' }],
];

t.test('given more rows than are looked at in one piece, when they are asked for, then no piece loses one', async (t) => {
  const database = await openTempDatabase(t);
  let last: Promise<void> | undefined;
  for (let row = 1; row <= rows; row++) {
    const isMarked = row % 4_999 === 0 || [1, 9_999, 10_000, 10_001, 20_000, 20_001, rows].includes(row);
    last = database.append({
      kind: row % 2 === 0 ? 'host.decision' : 'kv.change',
      plugin: row % 1_250 === 0 ? 'example.few' : 'example.many',
      method: isMarked ? 'kv.put' : 'kv.get',
      actor: isMarked ? 't-1' : 't-2',
      verdict: row % 10 === 0 ? 'allow' : 'deny',
    });
  }
  await last;
  for (const [name, filter] of walks) {
    const where = Object.entries(filter).map(([column, value]) => `${column} = '${value}'`);
    const all = await database.read.all<{ seq: number }>(`SELECT seq FROM audit NOT INDEXED WHERE ${where.join(' AND ')} ORDER BY seq`);
    const expected = all.map(({ seq }) => seq);
    t.ok(expected.length > 0, name);
    for (const newestFirst of [false, true]) {
      const ordered = newestFirst ? expected.toReversed() : expected;
      const read = async (more: Partial<AuditFilter>) =>
        (await queryAudit(database.read, { limit: 100, ...filter, newestFirst, ...more })).map(({ seq }) => seq);
      t.same(await read({}), ordered, `${name}${newestFirst ? ', newest first' : ''}`);
      t.same(await read({ limit: 2 }), ordered.slice(0, 2));
      t.same(await read({ afterSeq: ordered[0] ?? 0 }), ordered.slice(1));
    }
  }
});
