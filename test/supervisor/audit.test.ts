import { join } from 'node:path';
import t from 'tap';
import { auditKinds, closeOpenDecisions } from '../../supervisor/audit.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { type Database, openDatabase } from '../../supervisor/database.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { openTempDatabase } from '../support/temp-database.ts';
import { testFolder } from '../support/test-folder.ts';

const decide = (database: Database, requestId: string) =>
  database.append({
    kind: 'host.decision',
    plugin: 'example.a',
    generation: 2,
    method: 'http.fetch',
    verdict: 'allow',
    requestId,
    opens: true,
  });
const countOpen = async (database: Database) => (await database.read.get<{ n: number }>('SELECT count(*) AS n FROM open_decisions'))?.n;
const listOutcomes = (database: Database) =>
  database.read.all("SELECT request_id, code, plugin, generation, method, summary FROM audit WHERE kind = 'host.outcome' ORDER BY seq");

for (const kind of auditKinds) {
  t.test(`given the kind ${kind}, when a row of it is appended, then it is there`, async (t) => {
    const database = await openTempDatabase(t);

    await database.append({ kind });

    t.match(await database.read.get('SELECT kind, code FROM audit'), { kind, code: null });
  });
}

t.test('given a decision with its outcome, when open decisions are closed, then there is nothing to do', async (t) => {
  const database = await openTempDatabase(t);
  await decide(database, 'r-1');
  await database.append({ kind: 'host.outcome', requestId: 'r-1', code: 'done' });

  t.equal(await closeOpenDecisions(database), 0);
  t.equal((await listOutcomes(database)).length, 1);
});

t.test('given a decision and its outcome in one commit, when it is done, then nothing is open', async (t) => {
  const database = await openTempDatabase(t);

  await Promise.all([decide(database, 'r-1'), database.append({ kind: 'host.outcome', requestId: 'r-1', code: 'done' })]);

  t.equal(await countOpen(database), 0);
});

t.test('given decisions that a crash left open, when they are closed at the next start, then each gets one unknown outcome', async (t) => {
  const file = join(testFolder(t), 'lattice.db');
  const open = () => openDatabase({ file, clock: createRealClock(), log: createQuietLog() });
  const first = await open();
  await Promise.all(['r-1', 'r-2', 'r-3'].map((requestId) => decide(first, requestId)));
  await first.append({ kind: 'host.outcome', requestId: 'r-2', code: 'done' });
  await first.close();
  const second = await open();
  t.teardown(() => second.close());

  const closed = await closeOpenDecisions(second);

  t.equal(closed, 2);
  t.equal(await closeOpenDecisions(second), 0);
  t.same((await listOutcomes(second)).slice(1), [
    { request_id: 'r-1', code: 'unknown', plugin: 'example.a', generation: 2, method: 'http.fetch', summary: '{"outcome":"unknown"}' },
    { request_id: 'r-3', code: 'unknown', plugin: 'example.a', generation: 2, method: 'http.fetch', summary: '{"outcome":"unknown"}' },
  ]);
});

t.test('given more open decisions than one job closes, when they are closed, then none is left', async (t) => {
  const database = await openTempDatabase(t);
  await Promise.all(Array.from({ length: 1234 }, (_, index) => decide(database, `r-${index}`)));

  t.equal(await closeOpenDecisions(database), 1234);
  t.equal(await countOpen(database), 0);
});

t.test('given a decision that opens nothing, when it is written, then it is never open', async (t) => {
  const database = await openTempDatabase(t);

  await database.append({ kind: 'host.decision', method: 'kv.get', verdict: 'allow', requestId: 'r-1' });

  t.equal(await countOpen(database), 0);
});

t.test('given a job that throws after an opening decision, when it is undone, then nothing is open', async (t) => {
  const database = await openTempDatabase(t);
  const failing = database.write(async (tx) => {
    tx.audit({ kind: 'host.decision', requestId: 'r-1', opens: true });
    throw new Error('no');
  });

  await t.rejects(failing);

  t.equal(await countOpen(database), 0);
});
