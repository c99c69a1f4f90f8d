import t from 'tap';
import { parseChannels, type WebhookChannel } from '../../../supervisor/notify/channels.ts';
import type { OutboxRow } from '../../../supervisor/notify/outbox.ts';
import { createSendWebhook } from '../../../supervisor/notify/send-webhook.ts';
import { createTestClient } from '../../support/fetch-setup.ts';
import { serveHttp } from '../../support/local-servers.ts';

const row: OutboxRow = {
  id: 'n-1',
  plugin: 'example.test',
  channel: 'hook',
  title: 'T',
  text: 'x',
  severity: 'info',
  createdMs: 0,
  attempts: 0,
  nextMs: 0,
};
const never = new AbortController().signal;

function createChannel(url: string, open: string[]): WebhookChannel {
  const channel = { type: 'webhook', url, headers: { Authorization: 'Bearer secret' }, plugins: [], allow_private: open };
  const parsed = parseChannels(Buffer.from(JSON.stringify({ channels: { hook: channel } }))).get('hook');
  if (parsed?.type !== 'webhook') throw new Error('not a webhook');
  return parsed;
}

t.test('given a receiver, when a message is sent, then it has the message, the id and the operator’s headers', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response) => response.writeHead(204).end());
  const sendWebhook = createSendWebhook(createTestClient().client);

  await sendWebhook(createChannel(`http://hook.example.test:${port}/in?key=1`, [`127.0.0.1:${port}`]), row, never);

  t.match(seen, [
    {
      method: 'POST',
      url: '/in?key=1',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'n-1', authorization: 'Bearer secret' },
    },
  ]);
  t.same(JSON.parse(seen[0]?.body ?? ''), {
    id: 'n-1',
    plugin: 'example.test',
    title: 'T',
    text: 'x',
    severity: 'info',
    time: '1970-01-01T00:00:00.000Z',
  });
});

for (const status of [302, 400, 404, 429, 500]) {
  t.test(
    `given a receiver that answers ${status}, when a message is sent, then it is unavailable, and a redirect is not followed`,
    async (t) => {
      const { port, seen } = await serveHttp(t, (_seen, response) => response.writeHead(status, { location: '/elsewhere' }).end('secret'));
      const sendWebhook = createSendWebhook(createTestClient().client);

      await t.rejects(sendWebhook(createChannel(`http://hook.example.test:${port}/`, ['127.0.0.1']), row, never), {
        code: 'unavailable',
        details: { rule: `status-${status}` },
      });

      t.equal(seen.length, 1);
    },
  );
}

t.test(
  'given a receiver on a private address that the channel does not open, when a message is sent, then nothing is connected',
  async (t) => {
    const { port, seen } = await serveHttp(t, (_seen, response) => void response.end());
    const sendWebhook = createSendWebhook(createTestClient().client);

    await t.rejects(sendWebhook(createChannel(`http://hook.example.test:${port}/`, ['10.0.0.0/8']), row, never), {
      code: 'egress-blocked',
    });

    t.equal(seen.length, 0);
  },
);
