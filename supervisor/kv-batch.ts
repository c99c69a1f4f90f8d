import { asHostError, HostError } from '../protocol/errors.ts';
import { parseJson } from '../protocol/parse-json.ts';
import type { AuditEntry } from './audit.ts';
import type { Tx } from './database.ts';
import { damagedEntry, isWhole } from './kv-checksums.ts';
import { entryName, type Held, type KvChanges, type KvKnown } from './kv-known.ts';
import type { KvCounters, StoredEntry } from './kv-rows.ts';
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
type State = { counters: Map<string, KvCounters>; held: Map<string, Held | null>; touched: Map<string, KvWrite> };

/**
 * Applies asks in their order with a handful of statements, however many they are. One that is refused leaves no trace but its audit row,
 * which carries the code; the others do not notice.
 */
export async function applyWrites(
  tx: Tx,
  writes: readonly KvWrite[],
  { quota, known }: { quota: KvQuota; known: KvKnown },
): Promise<{ outcomes: (KvChange | HostError)[]; changes: KvChanges }> {
  const state = await loadState(tx, writes, known);
  const outcomes = writes.map((write) => {
    const outcome = decideWrite(state, write, quota);
    tx.audit(outcome instanceof HostError ? { ...write.entry, code: outcome.code } : write.entry);
    return outcome;
  });
  tx.reach('kv.decided');
  const changes = await storeState(tx, state);
  for (const [at, { safeguards }] of writes.entries()) {
    const outcome = outcomes[at];
    if (safeguards?.settle && outcome && !(outcome instanceof HostError)) await safeguards.settle(tx, outcome);
  }
  return { outcomes, changes };
}

async function loadState(tx: Tx, writes: readonly KvWrite[], known: KvKnown): Promise<State> {
  const state: State = { counters: new Map(), held: new Map(), touched: new Map() };
  const unknown = { buckets: new Set<string>(), names: new Map<string, [bucket: string, key: string]>() };
  for (const { bucket, key } of writes) {
    const name = entryName(bucket, key);
    if (state.held.has(name) || unknown.names.has(name)) continue;
    const held = known.held(bucket, key);
    if (held === undefined) unknown.names.set(name, [bucket, key]);
    else state.held.set(name, held);
    const counters = known.counters(bucket);
    if (counters === undefined) unknown.buckets.add(bucket);
    else state.counters.set(bucket, counters);
  }
  if (unknown.names.size > 0 || unknown.buckets.size > 0) await lookUp(tx, state, [...unknown.buckets], [...unknown.names.values()]);
  return state;
}

async function lookUp(tx: Tx, state: State, buckets: string[], names: [bucket: string, key: string][]): Promise<void> {
  // As two texts: SQLite's binding makes an object of each row, member by member, which costs the event loop three times as much.
  const texts = await tx.get<{ counters: string; held: string }>(
    `SELECT
       (SELECT json_group_array(json_array(bucket, keys, bytes, revision)) FROM kv_buckets WHERE bucket IN (SELECT value FROM json_each(?))) AS counters,
       (SELECT json_group_array(json_array(e.bucket, e.key, e.bytes, e.revision, e.value_crc, e.entry_crc)) FROM json_each(?) AS w
        CROSS JOIN kv_entries AS e ON e.bucket = w.value ->> 0 AND e.key = w.value ->> 1) AS held`,
    [JSON.stringify(buckets), JSON.stringify(names)],
  );
  for (const [bucket, keys, bytes, revision] of parseJson(texts?.counters ?? '[]') as [string, number, number, number][])
    state.counters.set(bucket, { bucket, keys, bytes, revision });
  type Stored = [bucket: string, key: string, bytes: number, revision: number, valueCrc: number, entryCrc: number];
  for (const [bucket, key, bytes, revision, value_crc, entry_crc] of parseJson(texts?.held ?? '[]') as Stored[]) {
    const damaged = !isWhole({ bucket, key, bytes, revision, value_crc, entry_crc });
    state.held.set(entryName(bucket, key), { bucket, key, bytes, revision, damaged });
  }
}

function decideWrite(state: State, write: KvWrite, quota: KvQuota): KvChange | HostError {
  const name = entryName(write.bucket, write.key);
  const before = state.held.get(name);
  if (before?.damaged && write.ifRevision !== undefined) return damagedEntry(write.bucket, write.key);
  const revision = before?.revision ?? 0;
  const counters = state.counters.get(write.bucket) ?? { bucket: write.bucket, keys: 0, bytes: 0, revision: 0 };
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

  state.counters.set(write.bucket, next);
  state.touched.set(name, write);
  if (write.value === null) state.held.set(name, null);
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
async function storeState(tx: Tx, { counters, held, touched }: State): Promise<KvChanges> {
  const stored: StoredEntry[] = [];
  const deleted: [string, string][] = [];
  const changes = { counters: new Map<string, KvCounters>(), held: [] as [string, Held | null][] };
  for (const [name, { bucket, key }] of touched) {
    const entry = held.get(name) ?? null;
    entry ? stored.push({ ...entry, value: entry.value ?? '' }) : deleted.push([bucket, key]);
    const count = counters.get(bucket);
    if (count) changes.counters.set(bucket, count);
    changes.held.push([name, entry]);
  }
  const counted = [...changes.counters.values()];
  if (touched.size > 0) await tx.put({ counters: counted, stored, deleted });
  return { counters: counted, held: changes.held };
}

const conflictError = (revision: number): HostError =>
  new HostError('conflict', `the entry has revision ${revision}`, { revision, hint: 'read the entry again and repeat with its revision' });

const quotaError = (what: keyof KvQuota, counters: KvCounters, quota: KvQuota): HostError =>
  new HostError('quota-exceeded', `the bucket holds ${counters[what]} of ${quota[what]} ${what}`, {
    rule: `quota-${what}`,
    present: counters[what],
    limit: quota[what],
    hint: 'delete entries, or have the operator raise the quota',
  });
