import { asHostError, HostError } from '../protocol/errors.ts';
import { type Clock, type Timer, timestamp } from './clock.ts';
import type { Database } from './database.ts';
import type { GuardedClient } from './host/guarded-client.ts';
import type { Log } from './log.ts';
import type { Channels, WebhookChannel } from './notify/channels.ts';
import { pauseAfter } from './notify/delivery-policy.ts';
import { postWebhook } from './notify/send-webhook.ts';

export type HeadReportsDeps = {
  channel: WebhookChannel;
  everyMs: number;
  database: Pick<Database, 'head'>;
  client: GuardedClient;
  clock: Clock;
  log: Log;
  random(): number;
};

export function findReportChannel(channels: Channels, name: string): WebhookChannel {
  const channel = channels.get(name);
  if (channel?.type === 'webhook') return channel;
  throw new HostError(
    'invalid-params',
    `LATTICE_AUDIT_HEAD_CHANNEL: ${channel ? `the channel ${name} is of type ${channel.type}, not webhook` : `there is no channel ${name}`}`,
    { rule: 'audit-head-channel', hint: 'name a channel of type webhook of the file LATTICE_NOTIFY_CHANNELS; its plugins may be []' },
  );
}

/**
 * Tells a receiver the head of the chain at the start and at every interval, so that a cut of the table shows even to whoever can write all
 * files here. One that was not taken is not kept: the next try tells the head of that moment, which covers it.
 */
export function createHeadReports(deps: HeadReportsDeps): { stop(): Promise<void> } {
  const { channel, everyMs, database, client, clock, log } = deps;
  const stopping = new AbortController();
  let failures = 0;
  let timer: Timer | undefined;
  let running = report();

  async function report(): Promise<void> {
    const { seq, hash } = database.head();
    const at = timestamp(clock);
    try {
      await postWebhook(client, channel, { id: `audit-head-${seq}-${at}`, body: { seq, head: hash, at } }, stopping.signal);
      if (failures > 0) log.info('audit.head.report.recovered', { seq, failures });
      failures = 0;
    } catch (thrown) {
      if (stopping.signal.aborted) return;
      failures += 1;
      const { code, details } = asHostError(thrown); // never its text, which may name the address
      if (failures === 1)
        log.warn('audit.head.report.failed', { cause: details.rule ?? code, hint: 'the receiver must answer 2xx; it is tried again' });
    }
    if (stopping.signal.aborted) return;
    timer = clock.timer(failures === 0 ? everyMs : Math.min(everyMs, pauseAfter(failures, deps.random())), () => {
      running = report();
    });
    timer.rest?.();
  }

  return {
    async stop() {
      stopping.abort(new HostError('cancelled', 'the service stops'));
      timer?.cancel();
      await running;
    },
  };
}
