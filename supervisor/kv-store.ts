import { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import type { Database } from './database.ts';
import { createReadPage } from './json-page.ts';
import { applyWrites, type KvChange, type KvQuota, type KvWrite } from './kv-batch.ts';
import { createKvCache, type KvEntry } from './kv-cache.ts';
import { damagedEntry, isWhole, type SummedEntry, sumValue } from './kv-checksums.ts';
import { createKvKnown, type KvChanges } from './kv-known.ts';
import type { Safeguards } from './safeguards.ts';

export type KvListing = { entries: { key: string; revision: number; bytes: number }[]; next: string | null };
export type KvStore = {
  /** An entry that is in memory, or that there is none; undefined when the database has to be asked. */
  known(bucket: string, key: string): KvEntry | undefined;
  get(bucket: string, key: string): KvEntry | Promise<KvEntry>;
  /** In byte order. `next` is the `after` of the following page, or null at the end. */
  list(bucket: string, options: { prefix?: string; after?: string; limit: number }): Promise<KvListing>;
  /** Commits together with the audit row; a refusal commits its row with the code and throws. */
  put(
    bucket: string,
    key: string,
    value: string,
    ifRevision: number | undefined,
    entry: AuditEntry,
    safeguards?: Safeguards<number, KvChange>,
  ): Promise<{ revision: number }>;
  delete(
    bucket: string,
    key: string,
    ifRevision: number | undefined,
    entry: AuditEntry,
    safeguards?: Safeguards<number, KvChange>,
  ): Promise<{ deleted: boolean }>;
  buckets(): Promise<{ bucket: string; keys: number; bytes: number }[]>;
};
type Waiting = KvWrite & { resolve(change: KvChange): void; reject(reason: unknown): void };

const bucketPattern = /^(?:plugin:)?[a-z0-9][a-z0-9._-]{0,79}$/;
const operatorBucketMost = 64;
const writesPerJob = 500;
const charactersPerJob = 4 * 1024 * 1024; // a job is one text for SQLite to parse
const cacheCharacters = 8 * 1024 * 1024;

/** Buckets are `plugin:<id>` or an operator's name. Counters and entries change in one writer, so quotas hold however many ask at once. */
export function createKvStore({ database, quota }: { database: Database; quota: KvQuota }): KvStore {
  const cache = createKvCache(cacheCharacters);
  const known = createKvKnown(cache);
  const waiting: Waiting[] = [];

  function enqueue(write: KvWrite): Promise<KvChange> {
    checkName(write.bucket, write.key);
    if (!(write.value ?? '').isWellFormed())
      throw new HostError('invalid-params', 'the value has an unpaired surrogate', { hint: 'send valid Unicode' });
    return new Promise((resolve, reject) => {
      waiting.push({ ...write, resolve, reject });
      if (waiting.length === 1) void writeWaiting();
    });
  }

  async function readEntry(bucket: string, key: string): Promise<KvEntry> {
    const stamp = cache.stamp();
    const entry = await readStored(database, bucket, key);
    cache.fill(bucket, key, entry, stamp);
    return entry;
  }

  /** What comes in until the writer gets to the job is part of it. */
  async function writeWaiting(): Promise<void> {
    let taken: Waiting[] = [];
    let changes: KvChanges | null = null;
    try {
      const outcomes = await database.write(async (tx) => {
        taken = takeSome(waiting);
        if (waiting.length > 0) void writeWaiting();
        const applied = await applyWrites(tx, taken, { quota, known });
        changes = applied.changes;
        known.advance(changes);
        return applied.outcomes;
      });
      taken.forEach((write, index) => {
        settle(write, outcomes[index]);
      });
      if (changes) known.settle(changes);
    } catch (error) {
      known.forget(changes);
      if (taken.length === 0) taken = waiting.splice(0); // the writer is closed: the job never ran
      for (const write of taken) {
        cache.forget(write.bucket, write.key);
        write.reject(error);
      }
    }
  }

  function settle(write: Waiting, outcome: KvChange | HostError | undefined): void {
    if (outcome === undefined || outcome instanceof HostError) return write.reject(outcome);
    cache.commit(
      write.bucket,
      write.key,
      write.value === null ? { value: null, revision: 0 } : { value: write.value, revision: outcome.revision },
    );
    write.resolve(outcome);
  }

  return {
    known: cache.get,
    get(bucket, key) {
      const known = cache.get(bucket, key); // its name was checked when it came in
      if (known) return known;
      checkName(bucket, key);
      return readEntry(bucket, key);
    },
    async list(bucket, options) {
      checkName(bucket, 'any');
      return listEntries(database, bucket, options);
    },
    async put(bucket, key, value, ifRevision, entry, safeguards) {
      const { revision } = await enqueue({ bucket, key, value, ifRevision, entry, safeguards });
      return { revision };
    },
    async delete(bucket, key, ifRevision, entry, safeguards) {
      const { deleted } = await enqueue({ bucket, key, value: null, ifRevision, entry, safeguards });
      return { deleted };
    },
    buckets: () => database.read.all('SELECT bucket, keys, bytes FROM kv_buckets WHERE keys > 0 ORDER BY bucket'),
  };
}

function takeSome(waiting: Waiting[]): Waiting[] {
  let characters = 0;
  const most = waiting.findIndex((write, index) => {
    characters += write.value?.length ?? 0;
    return index > 0 && (index >= writesPerJob || characters > charactersPerJob);
  });
  return waiting.splice(0, most === -1 ? waiting.length : most);
}

/** What the disk changed is never given out: not as a value, and not as an entry that is not there. */
async function readStored(database: Database, bucket: string, key: string): Promise<KvEntry> {
  const found = await database.read.get<SummedEntry & { value: string }>(
    'SELECT bucket, key, revision, bytes, value_crc, entry_crc, value FROM kv_entries WHERE bucket = ? AND key = ?',
    [bucket, key],
  );
  if (found === undefined) return { value: null, revision: 0 };
  if (!isWhole(found) || sumValue(found.value) !== found.value_crc) throw damagedEntry(bucket, key);
  return { value: found.value, revision: found.revision };
}

const readListed = createReadPage<SummedEntry>({
  bucket: 'TEXT',
  key: 'TEXT',
  revision: 'INTEGER',
  bytes: 'INTEGER',
  value_crc: 'INTEGER',
  entry_crc: 'INTEGER',
});

async function listEntries(
  database: Database,
  bucket: string,
  options: { prefix?: string; after?: string; limit: number },
): Promise<KvListing> {
  const { prefix = '', after = '', limit } = options;
  // One lower bound, the higher of the two: SQLite would seek by one of them and step over the rest.
  const fromPrefix = Buffer.compare(Buffer.from(prefix), Buffer.from(after)) > 0;
  const where = ['bucket = ?', fromPrefix ? 'key >= ?' : 'key > ?'];
  const params: unknown[] = [bucket, fromPrefix ? prefix : after];
  const end = findEnd(prefix);
  if (end !== null) {
    where.push('key < ?');
    params.push(end);
  }
  const from = `kv_entries WHERE ${where.join(' AND ')} ORDER BY key LIMIT ?`;
  const rows = await readListed(database.read, { from, orderBy: 'key' }, [...params, limit + 1]);
  const damaged = rows.find((row) => !isWhole(row));
  if (damaged) throw damagedEntry(bucket, damaged.key);
  const entries = rows.slice(0, limit).map(({ key, revision, bytes }) => ({ key, revision, bytes }));
  return { entries, next: rows.length > limit ? (entries.at(-1)?.key ?? null) : null };
}

/** The first key behind all that begin with the prefix; UTF-8 sorts by bytes as Unicode does by code points. Null: there is none. */
function findEnd(prefix: string): string | null {
  const points = [...prefix].map((character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return null;
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1); // between them are the surrogates, which are no characters
}

function checkName(bucket: string, key: string): void {
  const isBucket = bucketPattern.test(bucket) && (bucket.startsWith('plugin:') || bucket.length <= operatorBucketMost);
  if (!isBucket) throw new HostError('invalid-params', 'this is not the name of a bucket', { hint: 'use 1 to 64 of a-z 0-9 . _ -' });
  if (key === '' || !key.isWellFormed())
    throw new HostError('invalid-params', 'a key is not empty and valid Unicode', { hint: 'choose another key' });
}
