import { HostError } from '../protocol/errors.ts';
import type { AuditRow } from './audit.ts';
import type { Sql } from './database.ts';

export type AuditFilter = {
  /** Where to read on: rows after this one in the order asked for, so with `newestFirst` the older ones. */
  afterSeq?: number;
  plugin?: string;
  kind?: string;
  verdict?: string;
  method?: string;
  actor?: string;
  code?: string;
  rule?: string;
  request_id?: string;
  /** RFC 3339; the first moment that counts. */
  since?: string;
  /** RFC 3339; the first moment that no longer counts. */
  until?: string;
  limit: number;
  newestFirst?: boolean;
};
type Clauses = { index: string; where: string[]; params: unknown[] };

const mostRows = 10_000;
// A filter that few rows pass must not hold the read connection while it walks millions of rows: other reads get their turn in between.
const rowsPerStatement = 50_000;
const frequentKinds: readonly string[] = ['host.decision', 'host.outcome'];
// Asked for in one SELECT, the two would be searched for row by row.
const endsSql = 'SELECT (SELECT min(seq) FROM audit) AS first, (SELECT max(seq) FROM audit) AS last';
const exact = ['plugin', 'kind', 'verdict', 'method', 'actor', 'code', 'rule', 'request_id'] as const;

export async function queryAudit(sql: Sql, filter: AuditFilter): Promise<AuditRow[]> {
  const clauses = buildClauses(filter);
  const limit = Math.min(filter.limit, mostRows);
  const ends = await sql.get<{ first: number | null; last: number | null }>(endsSql);
  const rows: AuditRow[] = [];
  for (const [low, high] of listRanges(filter, ends?.first ?? 1, ends?.last ?? 0)) {
    if (rows.length >= limit) break;
    const text = `SELECT * FROM audit ${clauses.index} WHERE ${[...clauses.where, 'seq BETWEEN ? AND ?'].join(' AND ')}
      ORDER BY seq ${filter.newestFirst ? 'DESC' : 'ASC'} LIMIT ?`;
    rows.push(...(await sql.all<AuditRow>(text, [...clauses.params, low, high, limit - rows.length])));
  }
  return rows;
}

function* listRanges(filter: AuditFilter, first: number, last: number): Generator<[number, number]> {
  if (filter.newestFirst) {
    for (let high = Math.min(last, (filter.afterSeq ?? Number.POSITIVE_INFINITY) - 1); high >= first; high -= rowsPerStatement) {
      yield [Math.max(first, high - rowsPerStatement + 1), high];
    }
    return;
  }
  for (let low = Math.max(first, (filter.afterSeq ?? Number.NEGATIVE_INFINITY) + 1); low <= last; low += rowsPerStatement) {
    yield [low, Math.min(last, low + rowsPerStatement - 1)];
  }
}

function buildClauses(filter: AuditFilter): Clauses {
  const where: string[] = [];
  const params: unknown[] = [];
  for (const column of exact) {
    const value = filter[column];
    if (value === undefined) continue;
    where.push(`${column} = ?`);
    params.push(value);
  }
  if (filter.since !== undefined) where.push('time >= ?');
  if (filter.until !== undefined) where.push('time < ?');
  for (const name of ['since', 'until'] as const) if (filter[name] !== undefined) params.push(normalizeTime(name, filter[name]));
  return { index: chooseIndex(filter, where), where, params };
}

/** SQLite uses a partial index only when the statement repeats its condition word for word. */
function chooseIndex(filter: AuditFilter, where: string[]): string {
  if (filter.verdict === 'deny') {
    where.push("verdict = 'deny'");
    return 'INDEXED BY audit_denied';
  }
  if (filter.kind !== undefined && !frequentKinds.includes(filter.kind)) {
    where.push("kind NOT IN ('host.decision', 'host.outcome')");
    return 'INDEXED BY audit_rare';
  }
  return filter.plugin === undefined ? 'NOT INDEXED' : 'INDEXED BY audit_plugin';
}

function normalizeTime(name: string, text: string): string {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) {
    throw new HostError('invalid-params', `${name} is not a time`, { hint: 'write it like 2026-01-31T12:00:00Z' });
  }
  return new Date(ms).toISOString();
}
