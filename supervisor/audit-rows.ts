import { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import { chainHash, emptyHead, type Head } from './audit-chain.ts';
import type { Sql } from './database.ts';

/** A row that waits for its number: its columns behind that as the rest of a JSON array, for the hash and for SQLite alike. */
export type PendingRow = { json: string; opens: string | null; closes: string | null };

const columnNames = 'seq, time, kind, plugin, generation, actor, method, verdict, code, rule, request_id, summary, hash';
// A row bound column by column costs the event loop three microseconds in the binding alone; one text for all rows costs next to nothing, and
// SQLite takes it apart in its own thread.
const insertRows = `INSERT INTO audit (${columnNames}) SELECT ${columnNames
  .split(', ')
  .map((_name, at) => `value ->> ${at}`)
  .join(', ')} FROM jsonb_each(?)`;
const rowsPerStatement = 1000;
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

/** Done when the row is handed in, so that what its author changes later does not change the record. */
export function encodeEntry(entry: AuditEntry, time: string): PendingRow {
  const requestId = clip(entry.requestId);
  if (entry.opens && requestId === null) throw new HostError('internal', `a ${entry.kind} row that opens has no request id`);
  const generation = Number.isSafeInteger(entry.generation) ? (entry.generation ?? null) : null;
  const columns = [
    time,
    entry.kind,
    clip(entry.plugin),
    generation,
    clip(entry.actor),
    clip(entry.method),
    entry.verdict ?? null,
    clip(entry.code),
    clip(entry.rule),
    requestId,
    clipSummary(entry.summary),
  ];
  return {
    json: JSON.stringify(columns).slice(1),
    opens: entry.opens ? requestId : null,
    closes: entry.kind === 'host.outcome' ? requestId : null,
  };
}

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
      let texts = '';
      for (const row of rows.slice(from, from + rowsPerStatement)) {
        seq += 1;
        const text = `[${seq},${row.json}`;
        hash = chainHash(hash, text);
        texts += `${texts === '' ? '[' : ','}${text.slice(0, -1)},"${hash}"]`;
      }
      await inserting; // the hashes of one chunk are computed while SQLite inserts the one before
      inserting = sql.run(insertRows, [`${texts}]`]);
    }
    await inserting;
    await markDecisions(sql, head.seq, rows);
    return { seq, hash };
  };
}

async function markDecisions(sql: Sql, before: number, rows: readonly PendingRow[]): Promise<void> {
  const opened: [number, string][] = [];
  const closed: string[] = [];
  for (const [index, row] of rows.entries()) {
    if (row.opens !== null) opened.push([before + index + 1, row.opens]);
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
