import { randomUUID } from 'node:crypto';
import { HostError } from '../../protocol/errors.ts';
import type { Clock } from '../clock.ts';
import type { Sql, Tx } from '../database.ts';

export type Notification = { plugin: string; channel: string; title: string; text: string; severity: string };
export type OutboxRow = Notification & { id: string; createdMs: number; attempts: number; nextMs: number };
type StoredRow = Notification & { id: string; created_ms: number; attempts: number; next_ms: number };

export const outboxLimits = { waitingPerPlugin: 1000, keptPerPlugin: 1000, keptMs: 7 * 24 * 3_600_000 } as const;

/** The messages that are to be delivered: rows of one table, so that one accepted survives any crash. */
export function createOutbox(deps: { clock: Clock; waitingPerPlugin?: number }) {
  const { clock, waitingPerPlugin = outboxLimits.waitingPerPlugin } = deps;

  /** Adds one message in the caller's transaction and gives its id. */
  async function enqueue(tx: Tx, message: Notification): Promise<string> {
    const counted = await tx.get<{ waiting: number }>(`SELECT count(*) AS waiting FROM outbox WHERE plugin = ? AND state = 'waiting'`, [
      message.plugin,
    ]);
    if ((counted?.waiting ?? 0) >= waitingPerPlugin) {
      throw new HostError('quota-exceeded', `${message.plugin} has ${waitingPerPlugin} notifications waiting`, {
        rule: 'outbox-full',
        hint: 'wait until they are delivered; the operator sees why a channel is stuck in the service’s log',
      });
    }
    const id = `n-${randomUUID()}`;
    const now = clock.wallMs();
    await tx.run(
      `INSERT INTO outbox (id, plugin, channel, title, text, severity, created_ms, attempts, next_ms, state) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, 'waiting')`,
      [id, message.plugin, message.channel, message.title, message.text, message.severity, now, now],
    );
    tx.reach('outbox.queued');
    return id;
  }

  /** Up to `perPlugin` due messages of each plugin, oldest first. A row due absurdly late is due now: the clock was set back since. */
  async function listDue(sql: Sql, options: { perPlugin: number; latestMs: number }): Promise<OutboxRow[]> {
    const now = clock.wallMs();
    const rows = await sql.all<StoredRow>(
      `SELECT o.* FROM (
         SELECT rowid AS at, row_number() OVER (PARTITION BY plugin ORDER BY next_ms, rowid) AS place
         FROM outbox WHERE state = 'waiting' AND (next_ms <= ? OR next_ms > ?)
       ) AS due JOIN outbox AS o ON o.rowid = due.at
       WHERE due.place <= ? ORDER BY due.place, o.next_ms, o.rowid`,
      [now, now + options.latestMs, options.perPlugin],
    );
    return rows.map(readRow);
  }

  /** Wall time of the next message that is not due yet; null when none waits. */
  async function nextDueMs(sql: Sql): Promise<number | null> {
    const row = await sql.get<{ at: number | null }>(`SELECT min(next_ms) AS at FROM outbox WHERE state = 'waiting' AND next_ms > ?`, [
      clock.wallMs(),
    ]);
    return row?.at ?? null;
  }

  const retryAt = async (tx: Tx, id: string, nextMs: number, error: string): Promise<void> =>
    void (await tx.run(`UPDATE outbox SET attempts = attempts + 1, next_ms = ?, last_error = ? WHERE id = ? AND state = 'waiting'`, [
      nextMs,
      error,
      id,
    ]));

  /** A finished row stays for a while, so that an operator can look it up; a sent one without its text. */
  const finish = async (tx: Tx, id: string, state: 'sent' | 'given-up', error: string | null): Promise<void> =>
    void (await tx.run(
      `UPDATE outbox SET attempts = attempts + 1, state = ?, last_error = ?, text = CASE ? WHEN 'sent' THEN '' ELSE text END WHERE id = ?`,
      [state, error, state, id],
    ));

  /** Drops finished rows that are old, and all but the newest of each plugin: a busy plugin must not fill the disk. */
  async function prune(tx: Tx): Promise<number> {
    const old = await tx.run(`DELETE FROM outbox WHERE state <> 'waiting' AND created_ms < ?`, [clock.wallMs() - outboxLimits.keptMs]);
    const many = await tx.run(
      `DELETE FROM outbox WHERE id IN (
         SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY plugin ORDER BY created_ms DESC) AS place FROM outbox WHERE state <> 'waiting')
         WHERE place > ?)`,
      [outboxLimits.keptPerPlugin],
    );
    return old.changes + many.changes;
  }

  return { enqueue, listDue, nextDueMs, retryAt, finish, prune };
}

export type Outbox = ReturnType<typeof createOutbox>;

function readRow(row: StoredRow): OutboxRow {
  const { id, plugin, channel, title, text, severity, attempts } = row;
  return { id, plugin, channel, title, text, severity, attempts, createdMs: row.created_ms, nextMs: row.next_ms };
}
