import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { verifyChain } from '../../supervisor/audit-chain.ts';
import { openDatabase } from '../../supervisor/database.ts';
import { openGroupCommit } from '../../supervisor/group-commit.ts';
import { createKvStore } from '../../supervisor/kv-store.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { testFolder } from '../support/test-folder.ts';

const bucket = 'plugin:example.hello';
const entry: AuditEntry = { kind: 'host.decision', plugin: 'example.hello', method: 'kv.put', verdict: 'allow', requestId: 'r-1' };

/** A store on a writer that notes what it asks of SQLite, and another program on the same file. */
async function openNoted(t: Test) {
  const file = join(testFolder(t), 'lattice.db');
  const clock = createFakeClock();
  await (await openDatabase({ file, clock, log: createQuietLog() })).close();
  const [writer, other] = [await openConnection(file, openModes.write), await openConnection(file, openModes.write)];
  const asked: string[] = [];
  const note = (sql: string) => void asked.push(sql.trimStart().slice(0, 26).replace(/\s+/g, ' '));
  const noted: typeof writer = {
    ...writer,
    run(sql, params) {
      note(sql);
      return writer.run(sql, params);
    },
    get(sql, params) {
      note(sql);
      return writer.get(sql, params);
    },
  };
  const group = await openGroupCommit({ connection: noted, clock, log: createQuietLog() });
  asked.length = 0;
  t.teardown(async () => {
    await group.end();
    await writer.close();
    await other.close();
  });
  const database = { ...group, read: other, close: group.end };
  return { store: createKvStore({ database, quota: { keys: 100, bytes: 1000 } }), database, other, asked };
}

const putAll = (store: ReturnType<typeof createKvStore>, keys: readonly string[]) =>
  Promise.all(keys.map((key) => store.put(bucket, key, `of ${key}`, undefined, entry)));
const many = Array.from({ length: 64 }, (_, at) => `key-${at}`);

/** Another program takes the number of the next row, which the service learns when its commit fails. */
const takeNextSeq = (other: { run(sql: string): Promise<unknown> }) =>
  other.run("INSERT INTO audit (seq, time, kind, summary, hash) SELECT max(seq) + 1, '', 'service.start', '{}', '' FROM audit");

t.test(
  'given entries that were changed before, when 64 more changes come at once, then SQLite is asked once, and once is one commit',
  async (t) => {
    const { store, database, asked, other } = await openNoted(t);
    await putAll(store, many);
    const before = database.commits();
    asked.length = 0;

    await putAll(store, many);

    t.same(asked, ['INSERT INTO commit_at_once']);
    t.equal(database.commits(), before + 1);
    t.match(await other.get('SELECT keys, revision FROM kv_buckets'), { keys: 64, revision: 128 });
    t.match(await verifyChain(other, database.head()), { ok: true, rows: 128 });
  },
);

t.test('given entries that nobody has asked for yet, when they are changed, then they are looked up within the transaction', async (t) => {
  const { store, asked } = await openNoted(t);

  await putAll(store, many);

  t.match(asked, ['BEGIN IMMEDIATE', /^SELECT/, /^INSERT INTO kv_buckets/, /^INSERT INTO kv_entries/, /^INSERT INTO audit/, 'COMMIT']);
});

t.test(
  'given a commit that fails, when its changes are asked for again, then nothing of it counts: no entry, counter, revision or row',
  async (t) => {
    const { store, database, other } = await openNoted(t);
    await store.put(bucket, 'colour', 'green', undefined, entry);
    await takeNextSeq(other);

    const failed = await Promise.allSettled([store.put(bucket, 'colour', 'red', 1, entry), store.put(bucket, 'new', 'x', 0, entry)]);

    t.same(
      failed.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    t.same(await store.get(bucket, 'colour'), { value: 'green', revision: 1 });
    t.match(await other.get('SELECT keys, bytes, revision FROM kv_buckets'), { keys: 1, bytes: 11, revision: 1 });
    t.same(await store.put(bucket, 'colour', 'blue', 1, entry), { revision: 2 });
    t.same(await store.put(bucket, 'new', 'x', 0, entry), { revision: 3 });
    t.equal(database.head().seq, 4);
  },
);

t.test(
  'given changes of which the second fails when it is settled, when the third sees the entry, then it sees what the first left',
  async (t) => {
    const { store, database, other } = await openNoted(t);
    await store.put(bucket, 'colour', 'green', undefined, entry);
    const settle = () => Promise.reject(new Error('no'));

    // Each job takes what waits when it begins: what is asked for in a job before goes into the next.
    let later: Promise<unknown>[] = [];
    const first = store.put(bucket, 'colour', 'red', 1, entry, {
      async settle() {
        const second = store.put(bucket, 'colour', 'lost', 2, entry, { settle });
        const third = second.catch(() => undefined).then(() => store.put(bucket, 'colour', 'blue', 2, entry));
        later = [second, third];
        second.catch(() => undefined);
      },
    });
    const beside = database.write(async (tx) => void (await tx.run("UPDATE kv_buckets SET keys = keys WHERE bucket = ''")));

    t.same(await first, { revision: 2 });
    await beside;
    t.match(await Promise.allSettled(later), [{ status: 'rejected' }, { status: 'fulfilled', value: { revision: 3 } }]);
    t.match(await other.get('SELECT value, revision FROM kv_entries'), { value: 'blue', revision: 3 });
  },
);

t.test('given changes and another job in one commit, when more changes follow in it, then all are there, in their order', async (t) => {
  const { store, database, other } = await openNoted(t);
  const long = 'x'.repeat(100);
  const puts = Array.from({ length: 1200 }, (_, at) => store.put(bucket, `k${at % 3}`, at === 1199 ? 'last' : long, undefined, entry));
  const beside = database.write(async (tx) => void (await tx.run("UPDATE kv_buckets SET keys = keys WHERE bucket = ''")));

  const outcomes = await Promise.all(puts);
  await beside;

  t.same(
    outcomes.map(({ revision }) => revision),
    puts.map((_, at) => at + 1),
  );
  t.same(await store.get(bucket, 'k2'), { value: 'last', revision: 1200 });
  t.match(await other.get('SELECT keys, bytes, revision FROM kv_buckets'), { keys: 3, bytes: 2 * 102 + 6, revision: 1200 });
  t.match(await verifyChain(other, database.head()), { ok: true, rows: 1200 });
});
