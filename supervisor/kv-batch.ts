import { asHostError, HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import type { Tx } from './database.ts';
import { damagedEntry, isWhole, sumEntry, sumValue } from './kv-checksums.ts';
import type { Safeguards } from './safeguards.ts';

export type KvQuota = { keys: number; bytes: number };
/** One ask to change an entry; a value of null deletes it. `safeguards`: of the revision that is there, 0 for none. */
export type KvWrite = {
  bucket: string;
  key: string;
  value: string | null;
  ifRevision: number | undefined;
  entry: AuditEntry;
  safeguards?: Safeguards<number, KvChange> | undefined;
};
/** What the ask found and left; `deleted` says whether there was an entry. */
export type KvChange = { revision: number; deleted: boolean };
type Bucket = { bucket: string; keys: number; bytes: number; revision: number };
type Held = { bucket: string; key: string; revision: number; bytes: number; value?: string; damaged?: boolean };
type State = { buckets: Map<string, Bucket>; held: Map<string, Held>; touched: Map<string, KvWrite> };

/** A bucket's name has no NUL, so no two pairs look alike. */
export const entryName = (bucket: string, key: string): string => `${bucket}\0${key}`;

/**
 * Applies asks in their order with a handful of statements, however many they are. One that is refused leaves no trace but its audit row,
 * which carries the code; the others do not notice.
 */
export async function applyWrites(tx: Tx, writes: readonly KvWrite[], quota: KvQuota): Promise<(KvChange | HostError)[]> {
  const state = await loadState(tx, writes);
  const outcomes = writes.map((write) => {
    const outcome = decideWrite(state, write, quota);
    tx.audit(outcome instanceof HostError ? { ...write.entry, code: outcome.code } : write.entry);
    return outcome;
  });
  tx.reach('kv.decided');
  await storeState(tx, state);
  for (const [at, { safeguards }] of writes.entries()) {
    const outcome = outcomes[at];
    if (safeguards?.settle && outcome && !(outcome instanceof HostError)) await safeguards.settle(tx, outcome);
  }
  return outcomes;
}

async function loadState(tx: Tx, writes: readonly KvWrite[]): Promise<State> {
  const names = new Map(writes.map((write) => [entryName(write.bucket, write.key), [write.bucket, write.key]]));
  const buckets = [...new Set(writes.map((write) => write.bucket))];
  // As two texts: SQLite's binding makes an object of each row, member by member, which costs the event loop three times as much.
  const texts = await tx.get<{ buckets: string; held: string }>(
    `SELECT
       (SELECT json_group_array(json_array(bucket, keys, bytes, revision)) FROM kv_buckets WHERE bucket IN (SELECT value FROM json_each(?))) AS buckets,
       (SELECT json_group_array(json_array(e.bucket, e.key, e.bytes, e.revision, e.value_crc, e.entry_crc)) FROM json_each(?) AS w
        CROSS JOIN kv_entries AS e ON e.bucket = w.value ->> 0 AND e.key = w.value ->> 1) AS held`,
    [JSON.stringify(buckets), JSON.stringify([...names.values()])],
  );
  const state: State = { buckets: new Map(), held: new Map(), touched: new Map() };
  for (const [bucket, keys, bytes, revision] of JSON.parse(texts?.buckets ?? '[]') as [string, number, number, number][])
    state.buckets.set(bucket, { bucket, keys, bytes, revision });
  type Stored = [bucket: string, key: string, bytes: number, revision: number, valueCrc: number, entryCrc: number];
  for (const [bucket, key, bytes, revision, value_crc, entry_crc] of JSON.parse(texts?.held ?? '[]') as Stored[]) {
    const damaged = !isWhole({ bucket, key, bytes, revision, value_crc, entry_crc });
    state.held.set(entryName(bucket, key), { bucket, key, bytes, revision, damaged });
  }
  return state;
}

function decideWrite(state: State, write: KvWrite, quota: KvQuota): KvChange | HostError {
  const name = entryName(write.bucket, write.key);
  const before = state.held.get(name);
  if (before?.damaged && write.ifRevision !== undefined) return damagedEntry(write.bucket, write.key);
  const revision = before?.revision ?? 0;
  const counters = state.buckets.get(write.bucket) ?? { bucket: write.bucket, keys: 0, bytes: 0, revision: 0 };
  if (write.ifRevision !== undefined && write.ifRevision !== revision) return conflictError(revision);
  const refused = askGuard(write, revision);
  if (refused) return refused;
  if (write.value === null && !before) return { revision, deleted: false };

  const bytes = write.value === null ? 0 : Buffer.byteLength(write.key) + Buffer.byteLength(write.value);
  const next = {
    bucket: write.bucket,
    keys: counters.keys + (before ? 0 : 1) - (write.value === null ? 1 : 0),
    bytes: counters.bytes - (before?.bytes ?? 0) + bytes,
    revision: counters.revision + (write.value === null ? 0 : 1),
  };
  // What does not grow is let through: a bucket over a lowered quota must be able to shrink.
  if (next.keys > Math.max(quota.keys, counters.keys)) return quotaError('keys', counters, quota);
  if (next.bytes > Math.max(quota.bytes, counters.bytes)) return quotaError('bytes', counters, quota);

  state.buckets.set(write.bucket, next);
  state.touched.set(name, write);
  if (write.value === null) state.held.delete(name);
  else state.held.set(name, { bucket: write.bucket, key: write.key, revision: next.revision, bytes, value: write.value });
  return { revision: write.value === null ? revision : next.revision, deleted: write.value === null };
}

function askGuard({ safeguards }: KvWrite, revision: number): HostError | null {
  try {
    safeguards?.guard?.(revision);
    return null;
  } catch (thrown) {
    return asHostError(thrown); // of this ask alone: the others of the batch do not notice
  }
}

/** Only the last state of each entry is written: what came between never was committed. */
async function storeState(tx: Tx, state: State): Promise<void> {
  if (state.touched.size === 0) return;
  const stored: Held[] = [];
  const deleted: [string, string][] = [];
  for (const [name, write] of state.touched) {
    const held = state.held.get(name);
    held ? stored.push(held) : deleted.push([write.bucket, write.key]);
  }
  await tx.run(
    `INSERT INTO kv_buckets (bucket, keys, bytes, revision) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true
     ON CONFLICT (bucket) DO UPDATE SET keys = excluded.keys, bytes = excluded.bytes, revision = excluded.revision`,
    [JSON.stringify([...state.buckets.values()].map(({ bucket, keys, bytes, revision }) => [bucket, keys, bytes, revision]))],
  );
  tx.reach('kv.counted');
  if (stored.length > 0) {
    await tx.run(
      `INSERT INTO kv_entries (bucket, key, revision, bytes, value_crc, entry_crc, value)
       SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 FROM json_each(?) WHERE true
       ON CONFLICT (bucket, key) DO UPDATE SET revision = excluded.revision, bytes = excluded.bytes,
         value_crc = excluded.value_crc, entry_crc = excluded.entry_crc, value = excluded.value`,
      [JSON.stringify(stored.map(encodeHeld))],
    );
  }
  if (deleted.length > 0) {
    await tx.run('DELETE FROM kv_entries WHERE (bucket, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))', [
      JSON.stringify(deleted),
    ]);
  }
  tx.reach('kv.stored');
}

function encodeHeld({ bucket, key, revision, bytes, value = '' }: Held): unknown[] {
  const value_crc = sumValue(value);
  return [bucket, key, revision, bytes, value_crc, sumEntry({ bucket, key, revision, bytes, value_crc }), value];
}

const conflictError = (revision: number): HostError =>
  new HostError('conflict', `the entry has revision ${revision}`, { revision, hint: 'read the entry again and repeat with its revision' });

const quotaError = (what: keyof KvQuota, counters: Bucket, quota: KvQuota): HostError =>
  new HostError('quota-exceeded', `the bucket holds ${counters[what]} of ${quota[what]} ${what}`, {
    rule: `quota-${what}`,
    present: counters[what],
    limit: quota[what],
    hint: 'delete entries, or have the operator raise the quota',
  });
