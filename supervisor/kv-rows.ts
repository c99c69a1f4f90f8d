import { sumEntry, sumValue } from './kv-checksums.ts';

/** What changes of entries leave in the tables: the counters of their buckets, and for each entry its last state or that it is gone. */
export type KvPut = { counters: readonly KvCounters[]; stored: readonly StoredEntry[]; deleted: readonly [bucket: string, key: string][] };
export type KvCounters = { bucket: string; keys: number; bytes: number; revision: number };
export type StoredEntry = { bucket: string; key: string; revision: number; bytes: number; value: string };

const take = (count: number) => Array.from({ length: count }, (_, at) => `value ->> ${at}`).join(', ');

/** The statements of one put, each fed by one JSON text. */
export const putStatementsFrom = (counters: string, stored: string, deleted: string): readonly [string, string, string] => [
  `INSERT INTO kv_buckets (bucket, keys, bytes, revision) SELECT ${take(4)} FROM jsonb_each(${counters}) WHERE true
   ON CONFLICT (bucket) DO UPDATE SET keys = excluded.keys, bytes = excluded.bytes, revision = excluded.revision`,
  `INSERT INTO kv_entries (bucket, key, revision, bytes, value_crc, entry_crc, value) SELECT ${take(7)} FROM jsonb_each(${stored}) WHERE true
   ON CONFLICT (bucket, key) DO UPDATE SET revision = excluded.revision, bytes = excluded.bytes,
     value_crc = excluded.value_crc, entry_crc = excluded.entry_crc, value = excluded.value`,
  `DELETE FROM kv_entries WHERE (bucket, key) IN (SELECT ${take(2)} FROM jsonb_each(${deleted}))`,
];

/** The texts that feed them. */
export const encodePut = ({ counters, stored, deleted }: KvPut): [string, string, string] => [
  JSON.stringify(counters.map(({ bucket, keys, bytes, revision }) => [bucket, keys, bytes, revision])),
  JSON.stringify(stored.map(encodeStored)),
  JSON.stringify(deleted),
];

function encodeStored({ bucket, key, revision, bytes, value }: StoredEntry): unknown[] {
  const value_crc = sumValue(value);
  return [bucket, key, revision, bytes, value_crc, sumEntry({ bucket, key, revision, bytes, value_crc }), value];
}
