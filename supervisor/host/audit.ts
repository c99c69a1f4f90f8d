import { queryAudit } from '../audit-query.ts';
import type { HostHandlers } from '../broker.ts';
import type { Sql } from '../database.ts';

/** A plugin reads rows about itself only, and of those nothing about operators or requests. */
export const createAuditQuery =
  (sql: Sql): HostHandlers['audit.query'] =>
  async ({ after_seq, method, verdict, limit }, { grant }) => {
    const rows = await queryAudit(sql, {
      plugin: grant.pluginId,
      afterSeq: after_seq,
      limit: limit + 1,
      ...(method ? { method } : {}),
      ...(verdict ? { verdict } : {}),
    });
    const shown = rows.slice(0, limit).map((row) => ({
      seq: row.seq,
      time: row.time,
      kind: row.kind,
      generation: row.generation,
      method: row.method,
      verdict: row.verdict,
      code: row.code,
      summary: row.summary,
    }));
    return { rows: shown, next: rows.length > limit ? (shown.at(-1)?.seq ?? null) : null };
  };
