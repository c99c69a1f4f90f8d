import { walkAudit } from '../audit-query.ts';
import type { HostHandlers } from '../broker.ts';
import type { Sql } from '../database.ts';
import type { Turns } from '../turns.ts';

/** A plugin reads rows about itself only, and of those nothing about operators or requests. */
export const createAuditQuery =
  (sql: Sql, turns: Turns): HostHandlers['audit.query'] =>
  async ({ after_seq, method, verdict, limit }, { grant, signal }) => {
    const walk = walkAudit(sql, {
      plugin: grant.pluginId,
      afterSeq: after_seq,
      limit: limit + 1,
      ...(method ? { method } : {}),
      ...(verdict ? { verdict } : {}),
    });
    const rows = await turns.run(grant.pluginId, signal, walk);
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
