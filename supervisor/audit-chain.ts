import { hash } from 'node:crypto';
import { parseJson } from '../protocol/parse-json.ts';
import type { AuditRow } from './audit.ts';
import type { Sql } from './database.ts';

export type Head = { seq: number; hash: string };
export type ChainFault =
  | 'changed'
  | 'missing'
  | 'reordered'
  | 'shorter than the recorded head'
  | 'different from the recorded head'
  | 'removed before the recorded head'
  | 'removed without a record of it';
export type Verdict = { ok: true; rows: number; head: Head; pruned_through?: number } | { ok: false; seq: number; reason: ChainFault };

export const emptyHead: Head = { seq: 0, hash: '0'.repeat(64) };
const chunkRows = 1000;

/** The hash of a row covers the one before it and, as one JSON array, every column in the order of the table. */
export const chainHash = (previous: string, columnsJson: string): string => hash('sha256', previous + columnsJson);

const columnsJson = (row: AuditRow, seq = row.seq): string =>
  JSON.stringify([
    seq,
    row.time,
    row.kind,
    row.plugin,
    row.generation,
    row.actor,
    row.method,
    row.verdict,
    row.code,
    row.rule,
    row.request_id,
    row.summary,
  ]);

/**
 * Walks the whole chain in chunks, from the first row to the last, and compares it with the head that was recorded outside the database:
 * a chain that was cut, or written anew from some row on, is whole in itself, and only the head tells.
 */
export async function verifyChain(sql: Sql, recorded: Head | null | readonly Head[], options: { chunk?: number } = {}): Promise<Verdict> {
  const limit = options.chunk ?? chunkRows;
  const heads: readonly Head[] = recorded === null ? [] : 'seq' in recorded ? [recorded] : recorded;
  const marker = await readMarker(sql);
  let markerRecorded = marker === null;
  let last = marker ?? emptyHead;
  const gone = heads.find((head) => marker !== null && head.seq > 0 && head.seq < marker.seq);
  if (gone) return { ok: false, seq: gone.seq, reason: 'removed before the recorded head' };
  let after = Number.MIN_SAFE_INTEGER; // a row that was slipped in before the first one must not stay unseen
  for (;;) {
    const rows = await readRows(sql, after, limit);
    for (const row of rows) {
      if (row.seq !== last.seq + 1) return { ok: false, seq: last.seq + 1, reason: row.seq > last.seq ? 'missing' : 'reordered' };
      if (chainHash(last.hash, columnsJson(row)) !== row.hash)
        return { ok: false, seq: row.seq, reason: await nameFault(sql, last, limit) };
      markerRecorded ||= row.kind === 'audit.pruned' && marker !== null && tellsOf(row, marker);
      if (heads.some((head) => head.seq === row.seq && head.hash !== row.hash))
        return { ok: false, seq: row.seq, reason: 'different from the recorded head' };
      last = { seq: row.seq, hash: row.hash };
    }
    if (rows.length < limit) break;
    after = last.seq;
  }
  if (heads.some((head) => head.seq > last.seq)) return { ok: false, seq: last.seq + 1, reason: 'shorter than the recorded head' };
  if (!markerRecorded) return { ok: false, seq: (marker?.seq ?? 0) + 1, reason: 'removed without a record of it' };
  return { ok: true, rows: last.seq - (marker?.seq ?? 0), head: last, ...(marker === null ? {} : { pruned_through: marker.seq }) };
}

/** Where the front was removed; a database of an earlier schema has no place for it. */
async function readMarker(sql: Sql): Promise<Head | null> {
  const known = await sql.get("SELECT 1 FROM sqlite_schema WHERE name = 'audit_marker'");
  return known ? ((await sql.get<Head>('SELECT seq, hash FROM audit_marker')) ?? null) : null;
}

function tellsOf(row: AuditRow, marker: Head): boolean {
  try {
    const { through, hash: kept } = parseJson(row.summary) as { through?: unknown; hash?: unknown };
    return through === marker.seq && kept === marker.hash;
  } catch {
    return false;
  }
}

/** When a row close by would fit at the broken place, somebody moved rows; else somebody changed one. */
async function nameFault(sql: Sql, last: Head, limit: number): Promise<ChainFault> {
  const near = await readRows(sql, last.seq, limit);
  return near.some((row) => chainHash(last.hash, columnsJson(row, last.seq + 1)) === row.hash) ? 'reordered' : 'changed';
}

const readRows = (sql: Sql, after: number, limit: number): Promise<AuditRow[]> =>
  sql.all<AuditRow>('SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?', [after, limit]);

/** Whether the table still holds the row that the head names: what a start can afford to check. */
export async function holdsHead(sql: Sql, head: Head): Promise<boolean> {
  if (head.seq === 0) return true;
  const row = await sql.get<{ hash: string }>('SELECT hash FROM audit WHERE seq = ?', [head.seq]);
  return row?.hash === head.hash;
}
