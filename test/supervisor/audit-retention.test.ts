import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Head, verifyChain } from '../../supervisor/audit-chain.ts';
import { createAuditRetention, pruneAudit, readLastTime } from '../../supervisor/audit-retention.ts';
import { openDatabase } from '../../supervisor/database.ts';
import { openForgedCopy } from '../support/audit-copy.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { testFolder } from '../support/test-folder.ts';

const dayMs = 24 * 60 * 60 * 1000;

async function prepare(t: Test) {
  const folder = testFolder(t);
  const clock = createFakeClock();
  const database = await openDatabase({ file: join(folder, 'lattice.db'), clock, log: createQuietLog() });
  t.teardown(() => database.close());
  const fill = (count: number, opens = false) =>
    Promise.all(Array.from({ length: count }, (_, index) => database.append({ kind: 'host.decision', requestId: `r-${index}`, opens })));
  const firstSeq = async () => (await database.read.get<{ seq: number }>('SELECT min(seq) AS seq FROM audit'))?.seq;
  return { folder, clock, database, fill, firstSeq };
}

async function prepareOldRows(t: Test) {
  const setup = await prepare(t);
  await setup.fill(3000);
  const old = setup.database.head();
  await setup.clock.advance(10 * dayMs);
  await setup.fill(1500);
  return { ...setup, old };
}

t.test('given old rows, when the audit is pruned, then they are gone and the rest still verifies', async (t) => {
  const { clock, database, old } = await prepareOldRows(t);

  const removed = await pruneAudit(database, clock, 7);

  t.equal(removed, 3000);
  t.match(await verifyChain(database.read, database.head()), { ok: true, rows: database.head().seq - 3000, pruned_through: 3000 });
  t.match(await verifyChain(database.read, old), { ok: true }, 'the marker is the last row that went');
  t.match(await verifyChain(database.read, { ...old, seq: 2999 }), { ok: false, reason: 'removed before the recorded head' });
  t.equal(await pruneAudit(database, clock, 7), 0);
});

t.test('given a day count that all rows pass, when the audit is pruned, then the newest thousand stay', async (t) => {
  const { clock, database } = await prepareOldRows(t);
  await clock.advance(30 * dayMs);

  t.equal(await pruneAudit(database, clock, 1), 3500);
  t.match(await verifyChain(database.read, database.head()), { ok: true });
});

t.test('given a decision without an outcome, when the audit is pruned, then it and what follows stay', async (t) => {
  const { clock, database, fill, firstSeq } = await prepare(t);
  await fill(10);
  await fill(1, true);
  await fill(1200);
  await clock.advance(10 * dayMs);

  t.equal(await pruneAudit(database, clock, 1), 10);
  t.equal(await firstSeq(), 11);
});

t.test('given a pruned audit, when rows behind the marker are deleted, then the table refuses', async (t) => {
  const { clock, database } = await prepareOldRows(t);
  await pruneAudit(database, clock, 7);

  await t.rejects(database.write((tx) => tx.run('DELETE FROM audit WHERE seq = 3001')));
  await t.rejects(database.write((tx) => tx.run('UPDATE audit_marker SET seq = 1')));
});

const forgeries: Record<string, (pruned: Head) => string> = {
  'more of the front is cut off': () => 'DELETE FROM audit WHERE seq <= 3100',
  'more is cut off and the marker moved along': () =>
    'UPDATE audit_marker SET seq = 3100, hash = (SELECT hash FROM audit WHERE seq = 3100); DELETE FROM audit WHERE seq <= 3100',
  'the marker gets another hash': () => `DROP TRIGGER audit_marker_forward; UPDATE audit_marker SET hash = '${'0'.repeat(64)}'`,
  'the marker is removed': () => 'DELETE FROM audit_marker',
};
for (const [what, forge] of Object.entries(forgeries)) {
  t.test(`given a pruned audit, when ${what}, then it is found`, async (t) => {
    const { folder, clock, database } = await prepareOldRows(t);
    await pruneAudit(database, clock, 7);
    const head = database.head();
    const copy = await openForgedCopy(t, folder, database);
    await copy.exec(forge(head));

    t.match(await verifyChain(copy, head), { ok: false });
  });
}

t.test('given no number of days, when time passes, then nothing is removed; with one, it is at the start', async (t) => {
  const { clock, database, firstSeq } = await prepareOldRows(t);
  const log = createQuietLog();
  await createAuditRetention({ database, clock, log, days: null, lastKnownMs: clock.wallMs() }).stop();
  t.equal(await firstSeq(), 1);

  await createAuditRetention({ database, clock, log, days: 7, lastKnownMs: clock.wallMs() }).stop();

  t.equal(await firstSeq(), 3001);
  t.match(log.events, [{ event: 'audit.pruned', fields: { rows: 3000 } }]);
});

const yearMs = 365 * dayMs;

for (const years of [1, -1]) {
  t.test(
    `given a clock that jumps by ${years} years, when rows are due by it, then none goes until it has been steady for a day`,
    async (t) => {
      const { clock, database, fill, firstSeq } = await prepare(t);
      await fill(1200);
      const log = createQuietLog();
      const retention = createAuditRetention({ database, clock, log, days: 7, lastKnownMs: clock.wallMs() });
      t.teardown(() => retention.stop());
      const looked = () => eventually(() => clock.pending() > 0); // the next look is set when one has ended
      const pass = async (hours: number) => {
        for (let hour = 1; hour <= hours; hour++) {
          await clock.advance(60 * 60_000);
          await looked();
        }
      };
      await looked();
      clock.setWall(clock.wallMs() + years * yearMs);

      await pass(12);
      t.equal(await firstSeq(), 1);
      clock.setWall(clock.wallMs() - years * yearMs); // put right
      await pass(23);
      await pass(3);
      t.equal(await firstSeq(), 1, 'the rows are two days old');
      t.match(log.events[0], { level: 'warn', event: 'audit.prune.waits' });
      await database.append({ kind: 'api.change' });
      const order = await database.read.all<{ seq: number }>('SELECT seq FROM audit');
      t.same(
        order.map(({ seq }) => seq),
        Array.from({ length: order.length }, (_, index) => index + 1),
      );
      t.match(await verifyChain(database.read, database.head()), { ok: true });
    },
  );
}

t.test('given a start long after the last run, when the clock stays steady, then old rows go after a day', async (t) => {
  const { clock, database, fill, firstSeq } = await prepare(t);
  await fill(1200);
  clock.setWall(clock.wallMs() + yearMs);
  const lastKnownMs = await readLastTime(database.read);
  const retention = createAuditRetention({ database, clock, log: createQuietLog(), days: 7, lastKnownMs });
  t.teardown(() => retention.stop());

  for (let hour = 0; hour < 23; hour++) await clock.advance(60 * 60_000);
  t.equal(await firstSeq(), 1);

  await eventually(async () => {
    await clock.advance(60 * 60_000);
    return (await firstSeq()) !== 1;
  });
  t.match(await verifyChain(database.read, database.head()), { ok: true, pruned_through: 200 });
});
