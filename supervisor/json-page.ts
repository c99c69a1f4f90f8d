import { parseOwnJson } from '../protocol/parse-json.ts';
import type { Sql } from './database.ts';

/** The columns of a page, in order, each as it is declared in its table. */
export type PageColumns<Row> = { readonly [Column in keyof Row & string]: 'TEXT' | 'INTEGER' };
export type ReadPage<Row> = (
  sql: Pick<Sql, 'get'>,
  clauses: { from: string; orderBy: string },
  params: readonly unknown[],
) => Promise<Row[]>;

/**
 * Reads rows as one text: taken over one by one, their thousands of values would keep the event loop for four times as long. The casts change
 * nothing but what the disk changed: JSON has no bytes, and one value that is some must not hide the others.
 */
export function createReadPage<Row>(columns: PageColumns<Row>): ReadPage<Row> {
  const names = Object.keys(columns);
  const casts = Object.entries(columns).map(([name, type]) => `CAST(${name} AS ${type})`);

  return async (sql, { from, orderBy }, params) => {
    const found = await sql.get<{ page: string }>(
      `SELECT json_group_array(json_array(${casts}) ORDER BY ${orderBy}) AS page FROM (SELECT ${names} FROM ${from})`,
      params,
    );
    return parseOwnJson<unknown[][]>(found?.page ?? '[]').map((values) => makeRow(values));
  };

  function makeRow(values: readonly unknown[]): Row {
    const row: Record<string, unknown> = {};
    for (const [at, name] of names.entries()) row[name] = values[at];
    return row as Row; // its columns, with what the table holds for them
  }
}
