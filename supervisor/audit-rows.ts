import { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import { chainHash, emptyHead, type Head } from './audit-chain.ts';
import type { Sql } from './database.ts';

/** A row that waits for its number: its columns for SQLite and, as the rest of a JSON array, for the hash. */
export type PendingRow = { columns: readonly string[]; json: string; opens: string | null; closes: string | null };

const columnNames = 'seq, time, kind, plugin, generation, actor, method, verdict, code, rule, request_id, summary, hash';
// Binding null costs five times as much as binding a text, so none is bound as '' and SQLite turns it back.
const placeholders =
  "(?, ?, ?, nullif(?, ''), nullif(?, ''), nullif(?, ''), nullif(?, ''), nullif(?, ''), nullif(?, ''), nullif(?, ''), nullif(?, ''), ?, ?)";
const rowsPerStatement = [500, 256, 128, 64]; // below the last, a statement of exactly the rows that are left
const textMost = 256; // a method or an id may be whatever a child sent
const summaryMost = 2048;

/** Unpaired surrogates would come back from SQLite as U+FFFD, and the hash would not match what is stored. */
function clip(text: string | null | undefined): string | null {
  if (!text) return null;
  if (text.length <= textMost && text.isWellFormed()) return text;
  return text.slice(0, textMost).toWellFormed();
}

function clipSummary(summary: string | undefined): string {
  if (!summary) return '{}';
  return summary.length <= summaryMost ? summary.toWellFormed() : '{"left_out":"longer than 2048 characters"}';
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
    columns: columns.map((column) => (column === null ? '' : String(column))),
    json: JSON.stringify(columns).slice(1),
    opens: entry.opens ? requestId : null,
    closes: entry.kind === 'host.outcome' ? requestId : null,
  };
}

export async function readHead(sql: Sql): Promise<Head> {
  return (await sql.get<Head>('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1')) ?? emptyHead;
}

/** Inserts rows behind the given head and returns the new one. The caller holds the transaction. */
export function createAuditInserter(sql: Sql): (head: Head, rows: readonly PendingRow[]) => Promise<Head> {
  const statements = new Map<number, string>();
  const statementOf = (rows: number): string => {
    const sqlText = statements.get(rows) ?? `INSERT INTO audit (${columnNames}) VALUES ${Array(rows).fill(placeholders).join()}`;
    statements.set(rows, sqlText);
    return sqlText;
  };

  return async function insert(head, rows) {
    let { seq, hash } = head;
    let inserting: Promise<unknown> = Promise.resolve();
    for (let from = 0; from < rows.length; ) {
      const left = rows.length - from;
      const chunk = rows.slice(from, from + (rowsPerStatement.find((size) => size <= left) ?? left));
      const params: string[] = [];
      for (const row of chunk) {
        seq += 1;
        hash = chainHash(hash, `[${seq},${row.json}`);
        params.push(String(seq), ...row.columns, hash);
      }
      await inserting; // the hashes of one chunk are computed while SQLite inserts the one before
      inserting = sql.run(statementOf(chunk.length), params);
      from += chunk.length;
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
