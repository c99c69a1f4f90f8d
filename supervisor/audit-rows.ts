import { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import { chainHash, emptyHead, type Head } from './audit-chain.ts';
import type { Sql } from './database.ts';

/** A row that waits for its number: the columns it has in common with rows beside it, and its own, each as JSON without brackets. */
export type PendingRow = { shared: string; own: string; opens: string | null; closes: string | null };
type Shared = ReturnType<typeof clipShared>;
export type EncodeEntry = (entry: AuditEntry, time: string) => PendingRow;

const sharedNames = ['time', 'kind', 'plugin', 'generation', 'actor', 'method', 'verdict', 'code', 'rule'] as const;
const ownNames = ['request_id', 'summary', 'hash'] as const;
const take = (names: readonly string[], from: number) => names.map((name, at) => `value ->> ${from + at} AS ${name}`).join(', ');
/**
 * A row bound column by column costs the event loop three microseconds in the binding alone; a text for all rows costs next to nothing, and
 * SQLite takes it apart in its own thread. Each column that it takes out costs a tenth of one there: what rows share is taken out once. The
 * limit that limits nothing makes SQLite keep that; without it, it would be taken out again for each row.
 */
export const insertRowsFrom = (shared: string, own: string, firstSeq: string): string =>
  `INSERT INTO audit (seq, ${[...sharedNames, ...ownNames].join(', ')})
   SELECT ${firstSeq} + own.at, ${sharedNames.map((name) => `shared.${name}`).join(', ')}, ${ownNames.map((name) => `own.${name}`).join(', ')}
   FROM (SELECT key AS at, value ->> 0 AS place, ${take(ownNames, 1)} FROM jsonb_each(${own})) AS own
   LEFT JOIN (SELECT key AS place, ${take(sharedNames, 0)} FROM jsonb_each(${shared}) LIMIT -1) AS shared ON shared.place = own.place`;
const insertRows = insertRowsFrom('?1', '?2', '?3');
const rowsPerStatement = 1000;
const rememberedMost = 1000;
const textMost = 256; // a method or an id may be whatever a child sent
const summaryMost = 2048;

/** Unpaired surrogates would come back from SQLite as U+FFFD, and what is behind a NUL not at all: the hash would not match what is stored. */
function keepable(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes('\0') ? whole.replaceAll('\0', '\ufffd') : whole;
}

const clip = (text: string | null | undefined): string | null => (text ? keepable(text.slice(0, textMost)) : null);

function clipSummary(summary: string | undefined): string {
  if (!summary) return '{}';
  return summary.length <= summaryMost ? keepable(summary) : '{"left_out":"longer than 2048 characters"}';
}

/** Rows come in runs that differ in little: what the last one of a plugin shares with the next is not written out again. */
export function createEntryEncoder(): EncodeEntry {
  const lastOf = new Map<string | null, { columns: Shared; text: string }>();

  function encodeShared(entry: AuditEntry, time: string): string {
    const last = lastOf.get(entry.plugin ?? null);
    if (last && isAlike(last.columns, entry, time)) return last.text;
    const columns = clipShared(entry, time);
    const text = JSON.stringify(Object.values(columns)).slice(1, -1);
    if (lastOf.size >= rememberedMost) lastOf.clear();
    lastOf.set(columns.plugin, { columns, text });
    return text;
  }

  /** Done when the row is handed in, so that what its author changes later does not change the record. */
  return function encode(entry, time) {
    const requestId = clip(entry.requestId);
    if (entry.opens && requestId === null) throw new HostError('internal', `a ${entry.kind} row that opens has no request id`);
    return {
      shared: encodeShared(entry, time),
      own: `${JSON.stringify(requestId)},${JSON.stringify(clipSummary(entry.summary))}`,
      opens: entry.opens ? requestId : null,
      closes: entry.kind === 'host.outcome' ? requestId : null,
    };
  };
}

/** In the order of the table, which is that of the hash. */
const clipShared = (entry: AuditEntry, time: string) => ({
  time,
  kind: entry.kind,
  plugin: clip(entry.plugin),
  generation: Number.isSafeInteger(entry.generation) ? (entry.generation ?? null) : null,
  actor: clip(entry.actor),
  method: clip(entry.method),
  verdict: entry.verdict ?? null,
  code: clip(entry.code),
  rule: clip(entry.rule),
});

/** What had to be clipped is like nothing: it is clipped again each time. */
const isAlike = (last: Shared, entry: AuditEntry, time: string): boolean =>
  last.time === time &&
  last.method === (entry.method ?? null) &&
  last.kind === entry.kind &&
  last.verdict === (entry.verdict ?? null) &&
  last.generation === (entry.generation ?? null) &&
  last.actor === (entry.actor ?? null) &&
  last.code === (entry.code ?? null) &&
  last.rule === (entry.rule ?? null);

export async function readHead(sql: Sql): Promise<Head> {
  return (await sql.get<Head>('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1')) ?? emptyHead;
}

/** Whether the rows are stored by one statement and nothing else. */
export const fitOneStatement = (rows: readonly PendingRow[]): boolean =>
  rows.length <= rowsPerStatement && rows.every((row) => row.opens === null && row.closes === null);

/** Inserts rows behind the given head and returns the new one. The caller holds the transaction. */
export function createAuditInserter(sql: Sql): (head: Head, rows: readonly PendingRow[]) => Promise<Head> {
  return async function insert(head, rows) {
    let { seq, hash } = head;
    let inserting: Promise<unknown> = Promise.resolve();
    for (let from = 0; from < rows.length; from += rowsPerStatement) {
      const chunk = encodeRows({ seq, hash }, rows.slice(from, from + rowsPerStatement));
      await inserting; // the hashes of one chunk are computed while SQLite inserts the one before
      inserting = sql.run(insertRows, [chunk.shared, chunk.own, seq + 1]);
      ({ seq, hash } = chunk.head);
    }
    await inserting;
    await markDecisions(sql, head.seq, rows);
    return { seq, hash };
  };
}

/** The two texts of one statement. Each row's hash is over all of its columns, in the order of the table, as one JSON array. */
export function encodeRows({ seq, hash }: Head, rows: readonly PendingRow[]) {
  const places = new Map<string, number>();
  let [shared, own, last, place] = ['', '', '', 0];
  for (const row of rows) {
    seq += 1;
    hash = chainHash(hash, `[${seq},${row.shared},${row.own}]`);
    if (row.shared !== last) {
      last = row.shared;
      place = places.get(last) ?? places.size;
      if (place === places.size) shared += `${place === 0 ? '[' : ',['}${last}]`;
      places.set(last, place);
    }
    own += `${own === '' ? '[' : ',['}${place},${row.own},"${hash}"]`;
  }
  return { shared: `[${shared}]`, own: `[${own}]`, head: { seq, hash } };
}

async function markDecisions(sql: Sql, before: number, rows: readonly PendingRow[]): Promise<void> {
  const opened: [number, string][] = [];
  const closed: string[] = [];
  let seq = before;
  for (const row of rows) {
    seq += 1;
    if (row.opens !== null) opened.push([seq, row.opens]);
    if (row.closes !== null) closed.push(row.closes);
  }
  if (opened.length > 0) {
    const insert = 'INSERT INTO open_decisions (seq, request_id) SELECT value ->> 0, value ->> 1 FROM json_each(?)';
    await sql.run(insert, [JSON.stringify(opened)]);
  }
  if (closed.length > 0) {
    await sql.run('DELETE FROM open_decisions WHERE request_id IN (SELECT value FROM json_each(?))', [JSON.stringify(closed)]);
  }
}
