import type { Database } from './database.ts';

export const auditKinds = [
  'host.decision',
  'host.outcome',
  'plugin.status',
  'plugin.runtime',
  'api.denied',
  'api.change',
  'token.change',
  'kv.change',
  'service.start',
  'service.stop',
  'denials.closed',
  'notify.delivery',
  'audit.pruned',
  'storage.recovered',
] as const;
export type AuditKind = (typeof auditKinds)[number];

/** One row as its author says it; seq, time and hash are added. An empty text is the same as none. */
export type AuditEntry = {
  kind: AuditKind;
  plugin?: string | null;
  generation?: number | null;
  actor?: string | null;
  method?: string | null;
  verdict?: 'allow' | 'deny' | null;
  code?: string | null;
  rule?: string | null;
  requestId?: string | null;
  /** JSON text of at most 2048 characters; a longer one is left out, and the row says so. */
  summary?: string;
  /** A decision whose effect is outside the database: it stays open until a `host.outcome` row with its request id. */
  opens?: boolean;
};

export type AuditRow = {
  seq: number;
  time: string;
  kind: AuditKind;
  plugin: string | null;
  generation: number | null;
  actor: string | null;
  method: string | null;
  verdict: 'allow' | 'deny' | null;
  code: string | null;
  rule: string | null;
  request_id: string | null;
  summary: string;
  hash: string;
};

type OpenDecision = Pick<AuditRow, 'plugin' | 'generation' | 'actor' | 'method'> & { requestId: string };

const closedPerJob = 500;

/** At start: what a crash cut off gets an outcome that says it is not known. Looks only at the open ones, however long the audit is. */
export async function closeOpenDecisions(database: Database): Promise<number> {
  for (let closed = 0; ; ) {
    const open = await database.read.all<OpenDecision>(
      `SELECT a.plugin, a.generation, a.actor, a.method, o.request_id AS requestId
       FROM open_decisions o JOIN audit a ON a.seq = o.seq ORDER BY o.seq LIMIT ?`,
      [closedPerJob],
    );
    if (open.length === 0) return closed;
    await database.write(async (tx) => {
      for (const decision of open) tx.audit({ ...decision, kind: 'host.outcome', code: 'unknown', summary: '{"outcome":"unknown"}' });
      tx.reach('audit.closed');
    });
    closed += open.length;
  }
}
