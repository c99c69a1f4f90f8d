import { asHostError, HostError } from '../../protocol/errors.ts';
import type { AuditEntry } from '../audit.ts';
import { type Clock, delay, type Timer } from '../clock.ts';
import type { Database, Tx } from '../database.ts';
import { runWithDeadline } from '../deadline.ts';
import { noFailpoints, type Reach } from '../failpoints.ts';
import type { GuardedClient } from '../host/guarded-client.ts';
import type { Log } from '../log.ts';
import type { Channel, Channels } from './channels.ts';
import { deliveryLimits, isExhausted, pauseAfter, pickFair } from './delivery-policy.ts';
import type { Outbox, OutboxRow } from './outbox.ts';
import { createSendEmail, type SendEmail } from './send-email.ts';
import { createSendWebhook } from './send-webhook.ts';

export type DeliveryDeps = {
  database: Database;
  outbox: Outbox;
  channels: Channels;
  client: GuardedClient;
  log: Log;
  clock: Clock;
  pluginLog?: (plugin: string, message: string) => void; // one line in the plugin's own log when a message of its is given up
  sendEmail?: SendEmail;
  random?: () => number;
  reach?: Reach;
};
export type Delivery = { start(): void; wake(): void; stop(): Promise<void> };

/**
 * Takes messages from the outbox to their receivers, each at least once: a message leaves the state `waiting` only when its outcome is
 * durable, so that a crash in between repeats it, under the same id. One delivery starts once and stops once.
 */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const { database, outbox, log, clock, random = Math.random, reach = noFailpoints.reach } = deps;
  const send = createSend(deps);
  const stopping = new AbortController();
  const inFlight = new Map<string, { plugin: string; ended: Promise<void> }>();
  const settled = new Set<string>(); // ended while a query ran: its answer may still show them as waiting
  let lastPlugin: string | null = null;
  let prunedAt: number | null = null;
  let timer: Timer | null = null;
  let started = false;
  let pumping: Promise<void> | null = null;
  let again = false;

  function wake(): void {
    if (!started || stopping.signal.aborted) return;
    again = true;
    pumping ??= pump();
  }

  async function pump(): Promise<void> {
    while (again && !stopping.signal.aborted) {
      again = false;
      try {
        await pruneNowAndThen();
        await startDue();
        await armTimer();
      } catch (thrown) {
        log.warn('notify.trouble', { code: asHostError(thrown).code });
        wakeIn(deliveryLimits.troubleMs);
      }
    }
    pumping = null; // in the same breath as the last look at `again`, or a wake in between would be lost
  }

  async function startDue(): Promise<void> {
    settled.clear();
    const perPlugin = 2 * deliveryLimits.inFlightPerPlugin; // those under way are among them
    const due = await outbox.listDue(database.read, { perPlugin, latestMs: 2 * deliveryLimits.mostPauseMs });
    if (stopping.signal.aborted) return;
    const open = due.filter((row) => !inFlight.has(row.id) && !settled.has(row.id));
    const busy = [...inFlight.values()].map((entry) => entry.plugin);
    for (const row of pickFair(open, busy, lastPlugin)) {
      lastPlugin = row.plugin;
      const ended = attempt(row).finally(() => {
        inFlight.delete(row.id);
        settled.add(row.id);
        wake();
      });
      inFlight.set(row.id, { plugin: row.plugin, ended });
    }
  }

  async function armTimer(): Promise<void> {
    const nextMs = await outbox.nextDueMs(database.read);
    wakeIn(nextMs === null ? deliveryLimits.pruneEveryMs : Math.min(Math.max(nextMs - clock.wallMs(), 1), deliveryLimits.pruneEveryMs));
  }

  function wakeIn(delayMs: number): void {
    timer?.cancel();
    timer = stopping.signal.aborted ? null : clock.timer(delayMs, wake);
  }

  async function pruneNowAndThen(): Promise<void> {
    const now = clock.monotonicMs();
    if (prunedAt !== null && now - prunedAt < deliveryLimits.pruneEveryMs) return;
    await database.write((tx) => outbox.prune(tx));
    prunedAt = now;
  }

  async function attempt(row: OutboxRow): Promise<void> {
    const failure = await send(row, stopping.signal).then(
      () => null,
      (thrown: unknown) => causeOf(thrown),
    );
    if (failure === null) reach('outbox.sent');
    if (failure === null) return record(row, (tx) => settle(tx, row, 'sent', null));
    if (stopping.signal.aborted) return; // an attempt that we broke off ourselves is not counted
    const attempts = row.attempts + 1;
    const about = { id: row.id, plugin: row.plugin, channel: row.channel, cause: failure, attempts };
    if (isExhausted(clock.wallMs() - row.createdMs, attempts)) {
      log.error('notify.given-up', about);
      deps.pluginLog?.(row.plugin, `notification ${row.id} to channel ${row.channel} was given up after ${attempts} attempts: ${failure}`);
      return record(row, (tx) => settle(tx, row, 'given-up', failure));
    }
    const pauseMs = pauseAfter(attempts, random());
    log[attempts === 1 ? 'warn' : 'debug']('notify.retry', { ...about, pauseMs });
    return record(row, (tx) => outbox.retryAt(tx, row.id, clock.wallMs() + pauseMs, failure));
  }

  async function settle(tx: Tx, row: OutboxRow, state: 'sent' | 'given-up', cause: string | null): Promise<void> {
    await outbox.finish(tx, row.id, state, cause);
    tx.reach('outbox.settled');
    tx.audit(describeOutcome(row, state, cause));
  }

  /** Tries until the outcome is stored: a message that was sent stays in flight meanwhile, and is not sent again. */
  async function record(row: OutboxRow, job: (tx: Tx) => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await database.write(job);
      } catch (thrown) {
        log.warn('notify.unrecorded', { id: row.id, code: asHostError(thrown).code });
        if (stopping.signal.aborted) return;
        await delay(clock, deliveryLimits.troubleMs, stopping.signal).catch(() => {});
      }
    }
  }

  return {
    start() {
      started = true;
      wake();
    },
    wake,
    async stop() {
      stopping.abort(new HostError('cancelled', 'the service stops'));
      timer?.cancel();
      await pumping;
      await Promise.all([...inFlight.values()].map((entry) => entry.ended));
    },
  };
}

/** Sends one message by its channel's kind. A channel that was removed or closed since is a failure: an edit can be undone within the day. */
function createSend(deps: DeliveryDeps) {
  const { channels, clock, log } = deps;
  const sendWebhook = createSendWebhook(deps.client);
  const sendEmail = deps.sendEmail ?? createSendEmail();

  function sendBy(channel: Channel, row: OutboxRow, signal: AbortSignal): Promise<void> {
    if (channel.type === 'webhook') return sendWebhook(channel, row, signal);
    if (channel.type === 'email') return sendEmail(channel, row, signal);
    const { id, plugin, title, text, severity } = row;
    log[severity === 'info' ? 'info' : 'warn']('notify.message', { id, channel: row.channel, plugin, title, text, severity });
    return Promise.resolve();
  }

  return async function send(row: OutboxRow, outer: AbortSignal): Promise<void> {
    const channel = channels.get(row.channel);
    if (!channel?.plugins.includes(row.plugin)) throw new HostError('not-found', 'the channel is not open', { rule: 'channel-closed' });
    await runWithDeadline({ clock, timeoutMs: deliveryLimits.attemptMs, outer }, (signal) => sendBy(channel, row, signal));
  };
}

/** A short word, never an error's text: that may name the receiver's address or quote its answer. */
function causeOf(thrown: unknown): string {
  const { code, details } = asHostError(thrown);
  return typeof details.rule === 'string' ? details.rule : code;
}

function describeOutcome(row: OutboxRow, state: 'sent' | 'given-up', cause: string | null): AuditEntry {
  const summary = JSON.stringify({ id: row.id, channel: row.channel, attempts: row.attempts + 1 });
  return { kind: 'notify.delivery', plugin: row.plugin, code: state, rule: cause, summary };
}
