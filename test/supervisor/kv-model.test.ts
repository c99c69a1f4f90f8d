import fc from 'fast-check';
import t from 'tap';
import { asHostError } from '../../protocol/errors.ts';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { createKvStore } from '../../supervisor/kv-store.ts';
import { openTempDatabase } from '../support/temp-database.ts';

const entry: AuditEntry = { kind: 'host.decision', method: 'kv.put', verdict: 'allow', requestId: 'r-1' };
const quota = { keys: 4, bytes: 60 };
const keys = ['a', 'b', 'c', 'd', 'e', 'f'];

/** `matching`: whether the ask names the revision that the entry has, another one, or none. */
type Ask = { plugin: number; key: string; value: string | null; matching: 'yes' | 'no' | 'any' };
type Model = { entries: Map<string, { value: string; revision: number }>; revision: number };

const ask: fc.Arbitrary<Ask> = fc.record({
  plugin: fc.nat({ max: 1 }),
  key: fc.constantFrom(...keys),
  value: fc.option(fc.string({ unit: 'grapheme', maxLength: 12 }), { freq: 3 }),
  matching: fc.constantFrom('yes', 'no', 'any'),
});

const bytesOf = (model: Model) => [...model.entries].reduce((sum, [key, { value }]) => sum + Buffer.byteLength(key + value), 0);

/** What one ask after the other does, in a dozen lines that share nothing with the store. */
function apply(model: Model, { key, value }: Ask, ifRevision: number | undefined): string {
  const before = model.entries.get(key);
  if (ifRevision !== undefined && ifRevision !== (before?.revision ?? 0)) return 'conflict';
  if (value === null) return model.entries.delete(key) ? 'deleted' : 'absent';
  const entries = new Map(model.entries).set(key, { value, revision: model.revision + 1 });
  const after = { entries, revision: model.revision + 1 };
  const grows = entries.size > model.entries.size || bytesOf(after) > bytesOf(model);
  if (grows && (entries.size > quota.keys || bytesOf(after) > quota.bytes)) return 'quota-exceeded';
  Object.assign(model, after);
  return `revision ${after.revision}`;
}

t.test('given asks of two plugins that come at once, when they are done, then all is as one after the other would leave it', async (t) => {
  const database = await openTempDatabase(t);
  let run = 0;
  const property = fc.asyncProperty(fc.array(fc.array(ask, { maxLength: 12 }), { maxLength: 6 }), async (rounds) => {
    run++;
    const buckets = [0, 1].map((plugin) => `plugin:example.p${plugin}-${run}`);
    const models: Model[] = buckets.map(() => ({ entries: new Map(), revision: 0 }));
    const store = createKvStore({ database, quota });
    for (const round of rounds) {
      const expected: string[] = [];
      const asked = round.map(async (one) => {
        const bucket = buckets[one.plugin] ?? '';
        const model = models[one.plugin] as Model; // there are two of each
        const present = model.entries.get(one.key)?.revision ?? 0;
        const ifRevision = { yes: present, no: present + 1, any: undefined }[one.matching];
        expected.push(apply(model, one, ifRevision));
        try {
          if (one.value !== null) return `revision ${(await store.put(bucket, one.key, one.value, ifRevision, entry)).revision}`;
          return (await store.delete(bucket, one.key, ifRevision, entry)).deleted ? 'deleted' : 'absent';
        } catch (error) {
          return asHostError(error).code;
        }
      });
      const outcomes = await Promise.all(asked);
      if (JSON.stringify(outcomes) !== JSON.stringify(expected)) throw new Error(`${JSON.stringify({ outcomes, expected })}`);
    }
    for (const [plugin, model] of models.entries()) await compare(buckets[plugin] ?? '', model);
  });

  async function compare(bucket: string, model: Model): Promise<void> {
    const store = createKvStore({ database, quota }); // without what the first one remembers
    for (const key of keys) {
      const found = await store.get(bucket, key);
      const wanted = model.entries.get(key) ?? { value: null, revision: 0 };
      if (found.value !== wanted.value || found.revision !== wanted.revision)
        throw new Error(`${key}: ${JSON.stringify({ found, wanted })}`);
    }
    const counters = await database.read.get<{ keys: number; bytes: number }>('SELECT keys, bytes FROM kv_buckets WHERE bucket = ?', [
      bucket,
    ]);
    const wanted = { keys: model.entries.size, bytes: bytesOf(model) };
    if ((counters?.keys ?? 0) !== wanted.keys || (counters?.bytes ?? 0) !== wanted.bytes)
      throw new Error(`counters: ${JSON.stringify({ counters, wanted })}`);
  }

  await fc.assert(property, { numRuns: 100, seed: 20261123 });
  t.equal(run >= 100, true);
});

t.test('given two plugins with a thousand keys each, when writers race to count each up, then no update is lost', async (t) => {
  const database = await openTempDatabase(t);
  const store = createKvStore({ database, quota: { keys: 1000, bytes: 1_000_000 } });
  const writers = 3;
  let conflicts = 0;

  const haveRead = Promise.withResolvers<void>(); // nobody writes before everybody has read once: so they race, however fast the disk
  let readers = 0;

  async function countUp(bucket: string, key: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      const { value, revision } = await store.get(bucket, key);
      if (tries === 1 && ++readers === 2 * 1000 * writers) haveRead.resolve();
      await haveRead.promise;
      try {
        await store.put(bucket, key, String(Number(value ?? 0) + 1), revision, entry);
        return;
      } catch (error) {
        if (asHostError(error).code !== 'conflict') throw error;
        conflicts++;
      }
    }
  }
  const all = ['plugin:example.one', 'plugin:example.two'].flatMap((bucket) =>
    Array.from({ length: 1000 * writers }, (_, at) => countUp(bucket, `key-${at % 1000}`)),
  );
  await Promise.all(all);

  t.ok(conflicts >= 2 * 1000 * (writers - 1), 'all but one of each key lost at least once');
  t.same(await database.read.all('SELECT bucket, keys FROM kv_buckets ORDER BY bucket'), [
    { bucket: 'plugin:example.one', keys: 1000 },
    { bucket: 'plugin:example.two', keys: 1000 },
  ]);
  t.same(await database.read.all('SELECT value, count(*) AS entries FROM kv_entries GROUP BY value'), [
    { value: String(writers), entries: 2000 },
  ]);
});
