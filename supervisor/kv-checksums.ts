import { crc32 } from 'node:zlib';
import { HostError } from '../protocol/errors.ts';
import type { Sql } from './database.ts';

/** An entry as it is stored, without its value. */
export type SummedEntry = { bucket: string; key: string; revision: number; bytes: number; value_crc: number; entry_crc: number };

const rowsPerRead = 500;
const firstRow = { bucket: '', key: '' };

/** A checksum against accidents: whoever can write the database can write this as well. */
export const sumValue = (value: string): number => crc32(value);
export const sumEntry = ({ bucket, key, revision, bytes, value_crc }: Omit<SummedEntry, 'entry_crc'>): number =>
  crc32(JSON.stringify([bucket, key, revision, bytes, value_crc]));

export const isWhole = (entry: SummedEntry): boolean => sumEntry(entry) === entry.entry_crc;

export const damagedEntry = (bucket: string, key: string): HostError =>
  new HostError('storage-unavailable', `the entry ${JSON.stringify(key)} of ${bucket} is damaged on the disk`, {
    rule: 'damaged-entry',
    bucket,
    key,
    hint: 'store it anew or delete it, without if_revision, or restore a backup; lattice db check lists all that are damaged',
  });

type Full = SummedEntry & { value: string };

async function* readEntries(sql: Pick<Sql, 'all'>): AsyncGenerator<Full> {
  for (let last: { bucket: string; key: string } = firstRow; ; ) {
    const rows: Full[] = await sql.all<Full>(
      `SELECT bucket, key, revision, bytes, value_crc, entry_crc, value FROM kv_entries WHERE (bucket, key) > (?, ?) ORDER BY bucket, key LIMIT ${rowsPerRead}`,
      [last.bucket, last.key],
    );
    yield* rows;
    const end = rows.at(-1);
    if (rows.length < rowsPerRead || end === undefined) return;
    last = end;
  }
}

/** Reads every value. */
export async function findDamagedEntries(sql: Pick<Sql, 'all'>): Promise<{ bucket: string; key: string }[]> {
  const damaged: { bucket: string; key: string }[] = [];
  for await (const entry of readEntries(sql))
    if (!isWhole(entry) || sumValue(entry.value) !== entry.value_crc) damaged.push({ bucket: entry.bucket, key: entry.key });
  return damaged;
}

/** For the entries that were stored before there were checksums. */
export async function fillChecksums(sql: Pick<Sql, 'all' | 'run'>): Promise<void> {
  for await (const entry of readEntries(sql)) {
    const value_crc = sumValue(entry.value);
    const entry_crc = sumEntry({ ...entry, value_crc });
    await sql.run('UPDATE kv_entries SET value_crc = ?, entry_crc = ? WHERE bucket = ? AND key = ?', [
      value_crc,
      entry_crc,
      entry.bucket,
      entry.key,
    ]);
  }
}
