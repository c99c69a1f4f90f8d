import t from 'tap';
import { createFakeClock } from '../support/fake-clock.ts';
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
