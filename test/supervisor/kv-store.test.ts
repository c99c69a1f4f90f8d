import t, { type Test } from 'tap';
import type { AuditEntry } from '../../supervisor/audit.ts';
import type { Database } from '../../supervisor/database.ts';
import { createKvStore, type KvStore } from '../../supervisor/kv-store.ts';
import { openTempDatabase } from '../support/temp-database.ts';

const bucket = 'plugin:example.hello';
const entry: AuditEntry = { kind: 'host.decision', plugin: 'example.hello', method: 'kv.put', verdict: 'allow', requestId: 'r-1' };

async function openStore(t: Test, quota = { keys: 1000, bytes: 1_000_000 }): Promise<{ database: Database; store: KvStore }> {
  const database = await openTempDatabase(t);
  return { database, store: createKvStore({ database, quota }) };
}
const listCodes = async (database: Database) =>
  (await database.read.all<{ code: string | null }>('SELECT code FROM audit ORDER BY seq')).map((row) => row.code);
/** What a store without a memory of its own would say. */
const readStored = (database: Database, key: string) =>
  database.read.get('SELECT value, revision FROM kv_entries WHERE bucket = ? AND key = ?', [bucket, key]);

t.test('given an entry, when it is read, then its value and revision answer, from memory and from disk', async (t) => {
  const { database, store } = await openStore(t);

  t.same(await store.put(bucket, 'colour', 'green', undefined, entry), { revision: 1 });

  t.same(await store.get(bucket, 'colour'), { value: 'green', revision: 1 });
  t.same(await readStored(database, 'colour'), { value: 'green', revision: 1 });
  t.same(await createKvStore({ database, quota: { keys: 1, bytes: 1 } }).get(bucket, 'colour'), { value: 'green', revision: 1 });
});

t.test('given no entry, when it is read, then the value is null and the revision 0', async (t) => {
  const { store } = await openStore(t);

  t.same(await store.get(bucket, 'colour'), { value: null, revision: 0 });
  t.same(await store.get(bucket, 'colour'), { value: null, revision: 0 });
});

t.test('given an entry read as absent, when it is put, then the next read has it', async (t) => {
  const { store } = await openStore(t);
  await store.get(bucket, 'colour');

  await store.put(bucket, 'colour', 'green', undefined, entry);

  t.match(await store.get(bucket, 'colour'), { value: 'green' });
});

t.test('given the same key in two buckets, when one is put, then the other is as before', async (t) => {
  const { store } = await openStore(t);
  await store.put(bucket, 'colour', 'green', undefined, entry);
  await store.put('plugin:example.other', 'colour', 'red', undefined, entry);

  await store.delete(bucket, 'colour', undefined, entry);

  t.same(await store.get('plugin:example.other', 'colour'), { value: 'red', revision: 1 });
});

t.test('given a deleted entry, when it is put again, then its revision is one that was never used', async (t) => {
  const { store } = await openStore(t);
  await store.put(bucket, 'colour', 'green', undefined, entry);
  await store.put(bucket, 'colour', 'red', undefined, entry);

  t.same(await store.delete(bucket, 'colour', undefined, entry), { deleted: true });
  t.same(await store.get(bucket, 'colour'), { value: null, revision: 0 });
  t.same(await store.delete(bucket, 'colour', undefined, entry), { deleted: false });

  t.same(await store.put(bucket, 'colour', 'blue', 0, entry), { revision: 3 });
});

t.test('given every change, when it is done, then it has one row, and a refused one carries its code', async (t) => {
  const { database, store } = await openStore(t, { keys: 1, bytes: 1000 });
  await store.put(bucket, 'a', 'x', undefined, entry);
  await t.rejects(store.put(bucket, 'a', 'y', 7, entry), { code: 'conflict', details: { revision: 1 } });
  await t.rejects(store.put(bucket, 'b', 'x', undefined, entry), { code: 'quota-exceeded', details: { rule: 'quota-keys', hint: String } });
  await t.rejects(store.delete(bucket, 'a', 0, entry), { code: 'conflict', details: { revision: 1 } });
  await t.rejects(store.delete(bucket, 'absent', 5, entry), { code: 'conflict', details: { revision: 0 } });
  await store.delete(bucket, 'a', 1, entry);

  t.same(await listCodes(database), [null, 'conflict', 'quota-exceeded', 'conflict', 'conflict', null]);
});

t.test('given two writers that compare and set, when they race, then no update is lost', async (t) => {
  const { store } = await openStore(t);
  const rounds = 100;
  async function countUp(): Promise<void> {
    for (let done = 0; done < rounds; ) {
      const { value, revision } = await store.get(bucket, 'count');
      const put = store.put(bucket, 'count', String(Number(value ?? 0) + 1), revision, entry);
      done += await put.then(
        () => 1,
        () => 0,
      );
    }
  }

  await Promise.all([countUp(), countUp(), countUp()]);

  t.match(await store.get(bucket, 'count'), { value: String(3 * rounds) });
});

t.test('given many asks for a key that must not exist yet, when they race, then exactly one wins', async (t) => {
  const { store } = await openStore(t);

  const outcomes = await Promise.allSettled(Array.from({ length: 50 }, (_, index) => store.put(bucket, 'lease', String(index), 0, entry)));

  t.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
  t.same(await store.get(bucket, 'lease'), { value: '0', revision: 1 });
});

t.test('given a quota of keys, when more are put at once, then exactly as many as it allows are there', async (t) => {
  const { store } = await openStore(t, { keys: 10, bytes: 1_000_000 });

  const outcomes = await Promise.allSettled(
    Array.from({ length: 2000 }, (_, index) => store.put(bucket, `k${index}`, 'x', undefined, entry)),
  );

  t.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 10);
  t.same(await store.buckets(), [{ bucket, keys: 10, bytes: 30 }]);
});

t.test('given a quota of bytes, when key and value reach it exactly, then it is let in and one more byte is not', async (t) => {
  const { store } = await openStore(t, { keys: 10, bytes: 10 });
  await store.put(bucket, 'é', 'ü234567', undefined, entry); // 2 bytes and 8 bytes

  await t.rejects(store.put(bucket, 'é', 'ü2345678', undefined, entry), { code: 'quota-exceeded', details: { rule: 'quota-bytes' } });
  await t.rejects(store.put(bucket, 'a', '', undefined, entry), { code: 'quota-exceeded' });

  t.same(await store.buckets(), [{ bucket, keys: 1, bytes: 10 }]);
});

t.test('given a bucket over a quota that was lowered, when it shrinks, then that is allowed and growing is not', async (t) => {
  const { database, store } = await openStore(t);
  await store.put(bucket, 'a', 'x'.repeat(100), undefined, entry);
  await store.put(bucket, 'b', 'x'.repeat(100), undefined, entry);
  const strict = createKvStore({ database, quota: { keys: 1, bytes: 50 } });

  await strict.put(bucket, 'a', 'x'.repeat(60), undefined, entry);
  await t.rejects(strict.put(bucket, 'a', 'x'.repeat(61), undefined, entry), { code: 'quota-exceeded' });
  await strict.delete(bucket, 'b', undefined, entry);

  t.same(await strict.buckets(), [{ bucket, keys: 1, bytes: 61 }]);
});

t.test('given an entry that is put, deleted and put again at once, when it is done, then the last state counts', async (t) => {
  const { database, store } = await openStore(t);

  await Promise.all([
    store.put(bucket, 'a', '1', undefined, entry),
    store.delete(bucket, 'a', undefined, entry),
    store.put(bucket, 'a', '22', undefined, entry),
    store.put(bucket, 'b', '3', undefined, entry),
    store.delete(bucket, 'b', undefined, entry),
  ]);

  t.same(await readStored(database, 'a'), { value: '22', revision: 2 });
  t.same(await store.get(bucket, 'a'), { value: '22', revision: 2 });
  t.same(await store.get(bucket, 'b'), { value: null, revision: 0 });
  t.same(await store.buckets(), [{ bucket, keys: 1, bytes: 3 }]);
  t.equal((await listCodes(database)).length, 5);
});

t.test('given asks of one tick, when they are many, then they share few commits', async (t) => {
  const { database, store } = await openStore(t, { keys: 10_000, bytes: 10_000_000 });
  const before = database.commits();

  await Promise.all(Array.from({ length: 1000 }, (_, index) => store.put(bucket, `k${index}`, 'x', undefined, entry)));

  t.equal(database.commits() - before, 2); // a job takes 500
});

t.test('given large values of one tick, when they are put, then all arrive', async (t) => {
  const { store } = await openStore(t, { keys: 1000, bytes: 100_000_000 });
  const value = 'ä"\n'.repeat(80_000);

  await Promise.all(Array.from({ length: 60 }, (_, index) => store.put(bucket, `k${index}`, value, undefined, entry)));

  t.match(await store.get(bucket, 'k59'), { value });
  t.match(await store.buckets(), [{ keys: 60 }]);
});

const listings: { name: string; options: Parameters<KvStore['list']>[1]; keys: string[]; next: string | null }[] = [
  {
    name: 'a limit that is not reached',
    options: { limit: 100 },
    keys: ['%', 'a', 'a_b', 'ab', 'b', 'é', '\ud7ff', '\ue000', '😀'],
    next: null,
  },
  { name: 'a limit', options: { limit: 2 }, keys: ['%', 'a'], next: 'a' },
  { name: 'the exact number', options: { limit: 9 }, keys: ['%', 'a', 'a_b', 'ab', 'b', 'é', '\ud7ff', '\ue000', '😀'], next: null },
  { name: 'where to read on', options: { after: 'ab', limit: 2 }, keys: ['b', 'é'], next: 'é' },
  { name: 'a prefix', options: { prefix: 'a', limit: 100 }, keys: ['a', 'a_b', 'ab'], next: null },
  { name: 'a prefix and a limit', options: { prefix: 'a', limit: 2 }, keys: ['a', 'a_b'], next: 'a_b' },
  { name: 'a prefix and where to read on', options: { prefix: 'a', after: 'a_b', limit: 2 }, keys: ['ab'], next: null },
  { name: 'a prefix that is a wildcard elsewhere', options: { prefix: '%', limit: 100 }, keys: ['%'], next: null },
  { name: 'an underscore, a wildcard elsewhere', options: { prefix: 'a_', limit: 100 }, keys: ['a_b'], next: null },
  { name: 'a star, a wildcard elsewhere', options: { prefix: 'a*', limit: 100 }, keys: [], next: null },
  { name: 'the last character before the surrogates', options: { prefix: '\ud7ff', limit: 100 }, keys: ['\ud7ff'], next: null },
  { name: 'an emoji', options: { prefix: '😀', limit: 100 }, keys: ['😀'], next: null },
  { name: 'the last character of all', options: { prefix: '\u{10ffff}', limit: 100 }, keys: [], next: null },
];

for (const { name, options, keys, next } of listings) {
  t.test(`given nine keys, when they are listed with ${name}, then they come in byte order`, async (t) => {
    const { store } = await openStore(t);
    for (const key of ['b', '😀', 'ab', '%', 'é', 'a', '\ue000', 'a_b', '\ud7ff']) await store.put(bucket, key, key, undefined, entry);
    await store.put('plugin:example.other', 'a', 'not mine', undefined, entry);

    const listing = await store.list(bucket, options);

    t.same(
      listing.entries.map((row) => row.key),
      keys,
    );
    t.equal(listing.next, next);
  });
}

t.test('given entries, when they are listed, then each has its revision and bytes', async (t) => {
  const { store } = await openStore(t);
  await store.put(bucket, 'é', 'ü', undefined, entry);

  t.same(await store.list(bucket, { limit: 10 }), { entries: [{ key: 'é', revision: 1, bytes: 4 }], next: null });
});

t.test('given an emptied bucket, when the buckets are listed, then it is not among them', async (t) => {
  const { store } = await openStore(t);
  await store.put('default', 'a', 'x', undefined, entry);
  await store.put('other', 'a', 'x', undefined, entry);
  await store.delete('other', 'a', undefined, entry);

  t.same(await store.buckets(), [{ bucket: 'default', keys: 1, bytes: 2 }]);
});

for (const name of [
  '',
  'Upper',
  '-dash',
  'a/b',
  'a\0b',
  'x'.repeat(65),
  'plugin:',
  'plugin:plugin:a',
  'other:a',
  `plugin:${'x'.repeat(81)}`,
]) {
  t.test(
    `given the bucket ${JSON.stringify(name.slice(0, 20))} of ${name.length} characters, when it is used, then it is refused`,
    async (t) => {
      const { database, store } = await openStore(t);

      await t.rejects(async () => store.get(name, 'a'), { code: 'invalid-params' });
      await t.rejects(async () => store.list(name, { limit: 1 }), { code: 'invalid-params' });
      await t.rejects(store.put(name, 'a', 'x', undefined, entry), { code: 'invalid-params' });
      t.equal(database.head().seq, 0);
    },
  );
}

t.test('given a key or value that is not Unicode, when it is put, then it is refused instead of altered', async (t) => {
  const { store } = await openStore(t);

  await t.rejects(store.put(bucket, 'a', '\ud800', undefined, entry), { code: 'invalid-params' });
  await t.rejects(store.put(bucket, '\ud800', 'a', undefined, entry), { code: 'invalid-params' });
  await t.rejects(store.put(bucket, '', 'a', undefined, entry), { code: 'invalid-params' });
});

t.test('given odd but valid texts, when they are put, then the same texts come back from disk', async (t) => {
  const { database, store } = await openStore(t);
  const odd = ['nul\0nul', '\u2028"\\\u001f', '😀', '', '{"a":1}', '12345678901234567890', 'null'];

  for (const [index, text] of odd.entries()) await store.put(bucket, `k${index}`, text, undefined, entry);

  for (const [index, value] of odd.entries()) t.same(await readStored(database, `k${index}`), { value, revision: index + 1 });
});

t.test('given a full disk, when an entry is put, then it is refused, the old value stays and later puts work', async (t) => {
  const { database, store } = await openStore(t, { keys: 10, bytes: 10_000_000 });
  await store.put(bucket, 'a', 'old', undefined, entry);
  const { page_count: pages } = (await database.read.get<{ page_count: number }>('PRAGMA page_count')) ?? { page_count: 0 };
  await database.write((tx) => tx.all(`PRAGMA max_page_count = ${pages}`));

  await t.rejects(store.put(bucket, 'a', 'x'.repeat(200_000), undefined, entry), { code: 'storage-unavailable' });

  t.same(await store.get(bucket, 'a'), { value: 'old', revision: 1 });
  await database.write((tx) => tx.all('PRAGMA max_page_count = 1000000'));
  t.same(await store.put(bucket, 'a', 'new', 1, entry), { revision: 2 });
});

t.test('given a closed database, when an entry is put, then it is refused', async (t) => {
  const { database, store } = await openStore(t);
  await database.close();

  await t.rejects(store.put(bucket, 'a', 'x', undefined, entry), { code: 'storage-unavailable' });
  await t.rejects(store.put(bucket, 'a', 'x', undefined, entry), { code: 'storage-unavailable' });
});
