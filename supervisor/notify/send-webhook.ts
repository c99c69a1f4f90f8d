import { HostError } from '../../protocol/errors.ts';
import { portOf } from '../host/fetch-request.ts';
import type { GuardedClient } from '../host/guarded-client.ts';
import type { WebhookChannel } from './channels.ts';
import { deliveryLimits } from './delivery-policy.ts';
import type { OutboxRow } from './outbox.ts';

export type SendWebhook = (channel: WebhookChannel, row: OutboxRow, signal: AbortSignal) => Promise<void>;

/** Posts one message of a plugin. */
export function createSendWebhook(client: GuardedClient): SendWebhook {
  return async function sendWebhook(channel, row, signal) {
    const { id, plugin, title, text, severity } = row;
    const body = { id, plugin, title, text, severity, time: new Date(row.createdMs).toISOString() };
    await postWebhook(client, channel, { id, body }, signal);
  };
}

/** The same rules guard it as a plugin's fetch; only the channel's own host, and no redirect, is followed. */
export async function postWebhook(
  client: GuardedClient,
  channel: WebhookChannel,
  { id, body }: { id: string; body: Readonly<Record<string, unknown>> },
  signal: AbortSignal,
): Promise<void> {
  const request = {
    url: channel.url.href,
    method: 'POST',
    headers: { ...channel.headers, 'content-type': 'application/json', 'idempotency-key': id },
    body: Buffer.from(JSON.stringify(body), 'utf8'),
    redirect: 'manual' as const,
    ignoreBody: true,
    maxBytes: 0,
    timeoutMs: deliveryLimits.attemptMs,
    signal,
  };
  const isListed = (host: string, port: number) => host === channel.url.hostname && port === portOf(channel.url);
  const { status } = await client.fetch(request, {
    owner: `webhook ${channel.url.hostname}`,
    isListed,
    exemptions: channel.allow_private,
  });
  if (status < 200 || status > 299)
    throw new HostError('unavailable', 'the receiver did not take the message', { rule: `status-${status}` });
}
