import t, { type Test } from 'tap';
import { createOutbox, outboxLimits } from '../../../supervisor/notify/outbox.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { openTempDatabase } from '../../support/temp-database.ts';

const start = 1_000_000_000;
const soon = { perPlugin: 10, latestMs: 7_200_000 };

async function setUp(t: Test, waitingPerPlugin?: number) {
  const database = await openTempDatabase(t);
  const clock = createFakeClock(start);
  const outbox = createOutbox({ clock, ...(waitingPerPlugin === undefined ? {} : { waitingPerPlugin }) });
  const put = (plugin: string, title = 'T') =>
    database.write((tx) => outbox.enqueue(tx, { plugin, channel: 'ops', title, text: 'text', severity: 'info' }));
  const due = async (perPlugin = 10) => (await outbox.listDue(database.read, { ...soon, perPlugin })).map((row) => row.id);
  return { database, clock, outbox, put, due };
}

t.test(
  'given messages of several plugins, when the due ones are listed, then each plugin’s oldest come first and only so many',
  async (t) => {
    const { clock, put, due } = await setUp(t);
    const ids: string[] = [];
    for (const plugin of ['a', 'a', 'a', 'b']) {
      ids.push(await put(plugin));
      clock.setWall(clock.wallMs() + 1);
    }

    t.same(await due(2), [ids[0], ids[3], ids[1]]);
    t.same((await due(1)).length, 2);
  },
);

t.test('given a failed message, when its time has not come, then it is not due, and then it is', async (t) => {
  const { database, clock, outbox, put, due } = await setUp(t);
  const id = await put('a');

  await database.write((tx) => outbox.retryAt(tx, id, start + 5000, 'status-500'));

  t.same(await due(), []);
  t.equal(await outbox.nextDueMs(database.read), start + 5000);
  clock.setWall(start + 5000);
  t.same(await due(), [id]);
  t.equal(await outbox.nextDueMs(database.read), null);
  t.match(await database.read.get('SELECT attempts, last_error FROM outbox'), { attempts: 1, last_error: 'status-500' });
});

t.test('given a clock that was set back, when a message is due in a far future, then it is due now', async (t) => {
  const { clock, put, due } = await setUp(t);
  const id = await put('a');

  clock.setWall(start - 30 * 24 * 3_600_000);

  t.same(await due(), [id]);
});

t.test('given finished messages, when they are looked at, then they are not due, and a sent one has lost its text', async (t) => {
  const { database, outbox, put, due } = await setUp(t);
  const [sent, lost] = [await put('a'), await put('b')];

  await database.write(async (tx) => {
    await outbox.finish(tx, sent, 'sent', null);
    await outbox.finish(tx, lost, 'given-up', 'dns');
  });

  t.same(await due(), []);
  t.match(await database.read.all('SELECT plugin, state, text, last_error FROM outbox ORDER BY plugin'), [
    { plugin: 'a', state: 'sent', text: '', last_error: null },
    { plugin: 'b', state: 'given-up', text: 'text', last_error: 'dns' },
  ]);
});

t.test('given a plugin at its limit, when one of its messages is finished, then it may put another', async (t) => {
  const { database, outbox, put } = await setUp(t, 2);
  const id = await put('a');
  await put('a');
  await t.rejects(put('a'), { code: 'quota-exceeded' });

  await database.write((tx) => outbox.finish(tx, id, 'sent', null));

  await put('a');
  await t.rejects(put('a'), { code: 'quota-exceeded' });
});

t.test('given old and new messages, when they are pruned, then only old finished ones go', async (t) => {
  const { database, clock, outbox, put } = await setUp(t);
  for (const plugin of ['sent', 'lost', 'waiting']) await put(plugin);
  await database.write(async (tx) => {
    await tx.run(`UPDATE outbox SET state = 'sent' WHERE plugin = 'sent'`);
    await tx.run(`UPDATE outbox SET state = 'given-up' WHERE plugin = 'lost'`);
  });

  clock.setWall(start + outboxLimits.keptMs);
  t.equal(await database.write((tx) => outbox.prune(tx)), 0);
  clock.setWall(start + outboxLimits.keptMs + 1);
  t.equal(await database.write((tx) => outbox.prune(tx)), 2);

  t.match(await database.read.all('SELECT plugin FROM outbox'), [{ plugin: 'waiting' }]);
});

t.test('given more finished messages than are kept, when they are pruned, then the newest of each plugin stay', async (t) => {
  const { database, outbox } = await setUp(t);
  const over = outboxLimits.keptPerPlugin + 5;
  await database.write(async (tx) => {
    for (let at = 0; at < over; at++) {
      await tx.run(
        `INSERT INTO outbox (id, plugin, channel, title, text, severity, created_ms, next_ms, state) VALUES (?, 'a', 'c', '', '', 'info', ?, 0, 'sent')`,
        [`n-${at}`, start + at],
      );
    }
  });

  t.equal(await database.write((tx) => outbox.prune(tx)), 5);

  t.match(await database.read.get('SELECT min(created_ms) AS oldest, count(*) AS kept FROM outbox'), {
    oldest: start + 5,
    kept: outboxLimits.keptPerPlugin,
  });
});
