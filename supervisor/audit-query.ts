import { HostError } from '../protocol/errors.ts';
import type { AuditRow } from './audit.ts';
import type { Sql } from './database.ts';
import { readCosts } from './database-turns.ts';
import { createReadPage } from './json-page.ts';
import type { Pieces } from './turns.ts';

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
/** `through`: the index that is walked, and what the rows in it have in common; null: the table itself is walked. */
type Clauses = { through: { index: string; where: string; params: unknown[] } | null; where: string[]; params: unknown[] };

const mostRows = 10_000;
// A filter that few rows pass must not hold the read connection while it walks millions of rows: others read in between. So many take 2 ms.
const rowsPerPiece = 10_000;
const frequentKinds: readonly string[] = ['host.decision', 'host.outcome'];
// Asked for in one SELECT, the two would be searched for row by row.
const endsSql = 'SELECT (SELECT min(seq) FROM audit) AS first, (SELECT max(seq) FROM audit) AS last';
const exact = ['plugin', 'kind', 'verdict', 'method', 'actor', 'code', 'rule', 'request_id'] as const;

/** In pieces of a bounded number of rows that are looked at, however few pass. */
export function walkAudit(sql: Sql, filter: AuditFilter): Pieces<AuditRow[]> {
  return async function* walk(spend) {
    const clauses = buildClauses(filter);
    const limit = Math.min(filter.limit, mostRows);
    const { first, last } = (await sql.get<{ first: number | null; last: number | null }>(endsSql)) ?? {};
    const rows: AuditRow[] = [];
    let [low, high] = [first ?? 1, last ?? 0];
    if (filter.newestFirst) high = Math.min(high, (filter.afterSeq ?? Number.POSITIVE_INFINITY) - 1);
    else low = Math.max(low, (filter.afterSeq ?? Number.NEGATIVE_INFINITY) + 1);
    while (low <= high) {
      const piece = await findPiece(sql, clauses, [low, high], filter.newestFirst ?? false);
      const found = await readPiece(sql, clauses, piece, limit - rows.length, filter.newestFirst ?? false);
      rows.push(...found);
      spend(priceOf(found, piece, rows.length === limit));
      if (rows.length === limit) break;
      if (filter.newestFirst) high = piece[0] - 1;
      else low = piece[1] + 1;
      if (low <= high) yield;
    }
    return rows;
  };
}

/** All of it at once, where there are no others. */
export async function queryAudit(sql: Sql, filter: AuditFilter): Promise<AuditRow[]> {
  const walk = walkAudit(sql, filter)(() => {});
  for (;;) {
    const { done, value } = await walk.next();
    if (done) return value;
  }
}

const readRows = createReadPage<AuditRow>({
  seq: 'INTEGER',
  time: 'TEXT',
  kind: 'TEXT',
  plugin: 'TEXT',
  generation: 'INTEGER',
  actor: 'TEXT',
  method: 'TEXT',
  verdict: 'TEXT',
  code: 'TEXT',
  rule: 'TEXT',
  request_id: 'TEXT',
  summary: 'TEXT',
  hash: 'TEXT',
});

type Range = readonly [low: number, high: number];

/** The part of the range with which a walk begins: it ends where the index has had its number of rows. */
async function findPiece(sql: Sql, { through }: Clauses, [low, high]: Range, newestFirst: boolean): Promise<Range> {
  if (high - low < rowsPerPiece) return [low, high];
  if (through === null) return newestFirst ? [high - rowsPerPiece + 1, high] : [low, low + rowsPerPiece - 1];
  const text = `SELECT seq FROM audit ${through.index} WHERE ${through.where} AND seq BETWEEN ? AND ?
    ORDER BY seq ${newestFirst ? 'DESC' : 'ASC'} LIMIT 1 OFFSET ${rowsPerPiece - 1}`;
  const end = await sql.get<{ seq: number }>(text, [...through.params, low, high]);
  if (!end) return [low, high];
  return newestFirst ? [end.seq, high] : [low, end.seq];
}

function readPiece(sql: Sql, { through, where, params }: Clauses, piece: Range, limit: number, newestFirst: boolean): Promise<AuditRow[]> {
  const conditions = [...(through ? [through.where] : []), ...where, 'seq BETWEEN ? AND ?'];
  const orderBy = `seq ${newestFirst ? 'DESC' : 'ASC'}`;
  const from = `audit ${through?.index ?? 'NOT INDEXED'} WHERE ${conditions.join(' AND ')} ORDER BY ${orderBy} LIMIT ?`;
  return readRows(sql, { from, orderBy }, [...(through?.params ?? []), ...params, ...piece, limit]);
}

/** Where the limit ended it, what lies behind the last row was not looked at. */
function priceOf(found: readonly AuditRow[], [low, high]: Range, isFull: boolean): number {
  const ends = [found[0]?.seq ?? low, found.at(-1)?.seq ?? high];
  const span = isFull ? Math.max(...ends) - Math.min(...ends) : high - low;
  return Math.min(rowsPerPiece, span + 1) * readCosts.walkedRow + found.length * readCosts.auditRow;
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
  return { through: chooseIndex(filter), where, params };
}

/** SQLite uses a partial index only when the statement repeats its condition word for word. */
function chooseIndex({ verdict, kind, plugin }: AuditFilter): Clauses['through'] {
  if (verdict === 'deny') return { index: 'INDEXED BY audit_denied', where: "verdict = 'deny'", params: [] };
  if (kind !== undefined && !frequentKinds.includes(kind))
    return { index: 'INDEXED BY audit_rare', where: "kind = ? AND kind NOT IN ('host.decision', 'host.outcome')", params: [kind] };
  return plugin === undefined ? null : { index: 'INDEXED BY audit_plugin', where: 'plugin = ?', params: [plugin] };
}

function normalizeTime(name: string, text: string): string {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) {
    throw new HostError('invalid-params', `${name} is not a time`, { hint: 'write it like 2026-01-31T12:00:00Z' });
  }
  return new Date(ms).toISOString();
}
