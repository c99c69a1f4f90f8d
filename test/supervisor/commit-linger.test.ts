import t from 'tap';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { emptyHead } from '../../supervisor/audit-chain.ts';
import { insertRowsFrom } from '../../supervisor/audit-rows.ts';
import { createGroupCommit } from '../../supervisor/group-commit.ts';
import type { Connection } from '../../supervisor/sqlite-connection.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { openTempDatabase } from '../support/temp-database.ts';

t.test('given rows that nobody waits for, when some milliseconds go by, then they share one commit', async (t) => {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  const before = database.commits();

  const rows = Array.from({ length: 20 }, () => database.append({ kind: 'host.decision' }, 'soon'));
  await clock.advance(9);
  t.equal(database.commits(), before, 'not yet');
  await clock.advance(1);
  await Promise.all(rows);

  t.equal(database.commits(), before + 1);
  t.equal(clock.pending(), 0);
});

t.test('given a row that waits for company, when another must be durable now, then both are committed, in their order', async (t) => {
  const database = await openTempDatabase(t, createFakeClock());

  void database.append({ kind: 'host.decision', plugin: 'first' }, 'soon');
  await database.append({ kind: 'host.decision', plugin: 'second' });

  t.same(
    (await database.read.all<{ plugin: string }>('SELECT plugin FROM audit ORDER BY seq')).map(({ plugin }) => plugin),
    ['first', 'second'],
  );
});

t.test('given a row that waits for company, when the database is closed, then it is committed first', async (t) => {
  const database = await openTempDatabase(t, createFakeClock());

  const row = database.append({ kind: 'host.decision' }, 'soon');
  await database.close();

  await row;
  t.pass('it is durable');
});

for (const [what, entries, statements] of [
  ['rows that only report', Array.from({ length: 20 }, () => ({ kind: 'host.decision' })), 1],
  ['a row that stays open', [{ kind: 'host.decision', requestId: 'a:1.1', opens: true }], 4],
] as [string, AuditEntry[], number][])
  t.test(`given ${what}, when they are committed, then SQLite is asked ${statements} times`, async (t) => {
    const ran: string[] = [];
    const connection = {
      async run(sql: string) {
        ran.push(sql);
        return { changes: 0, lastId: 0 };
      },
    } as unknown as Connection; // nothing else of it is used
    const group = createGroupCommit({ connection, clock: createFakeClock(), log: createQuietLog(), head: emptyHead });

    await Promise.all(entries.map((entry) => group.append(entry)));

    t.equal(ran.length, statements);
    t.equal(group.head().seq, entries.length);
  });

t.test('given rows that differ in little, when they are committed, then what they share goes to SQLite once', async (t) => {
  const ran: (readonly unknown[])[] = [];
  const connection = {
    async run(_sql: string, params: readonly unknown[]) {
      ran.push(params);
      return { changes: 0, lastId: 0 };
    },
  } as unknown as Connection; // nothing else of it is used
  const group = createGroupCommit({ connection, clock: createFakeClock(), log: createQuietLog(), head: emptyHead });

  await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      group.append({ kind: 'host.decision', plugin: `example.p${at % 2}`, method: 'kv.get', requestId: `r-${at}` }),
    ),
  );

  const [[shared, own, firstSeq] = []] = ran;
  t.same([ran.length, JSON.parse(String(shared)).length, JSON.parse(String(own)).length, firstSeq], [1, 2, 20, 1]);
});

t.test('given the statement that stores rows, when SQLite plans it, then what they share is taken out of its text once', async (t) => {
  const database = await openTempDatabase(t);

  const plan = await database.read.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${insertRowsFrom('?1', '?2', '?3')}`, ['[]', '[]', 1]);

  t.match(
    plan.map(({ detail }) => detail),
    ['MATERIALIZE shared', /^SCAN/, /^SCAN/, /./, /^SEARCH shared USING AUTOMATIC/],
  );
});
