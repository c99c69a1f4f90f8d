import t from 'tap';
import type { EmailChannel } from '../../../supervisor/notify/channels.ts';
import { parseChannels } from '../../../supervisor/notify/channels.ts';
import type { OutboxRow } from '../../../supervisor/notify/outbox.ts';
import { createSendEmail } from '../../../supervisor/notify/send-email.ts';
import { makeCertificate, skipWithoutOpenssl } from '../../support/local-servers.ts';
import { serveSmtp } from '../../support/smtp-sink.ts';
import { testFolder } from '../../support/test-folder.ts';

const row: OutboxRow = {
  id: 'n-1',
  plugin: 'example.test',
  channel: 'mail',
  title: 'Grüße\u2028X-Evil: 1',
  text: '.\nBcc: other@example.com\nfile:///etc/passwd',
  severity: 'warning',
  createdMs: 0,
  attempts: 0,
  nextMs: 0,
};
const never = new AbortController().signal;

function createChannel(port: number, given: Record<string, unknown> = {}): EmailChannel {
  const channel = {
    type: 'email',
    host: '127.0.0.1',
    port,
    from: 'lattice@example.com',
    to: ['ops@example.com', 'b@example.com'],
    plugins: [],
    ...given,
  };
  const parsed = parseChannels(Buffer.from(JSON.stringify({ channels: { mail: channel } }))).get('mail');
  if (parsed?.type !== 'email') throw new Error('not an email channel');
  return parsed;
}

t.test(
  'given a mail server, when a message is sent, then sender, recipients and headers are the operator’s, and the text is only text',
  async (t) => {
    const { port, mails } = await serveSmtp(t);

    await createSendEmail()(createChannel(port), row, never);

    t.match(mails, [{ from: '<lattice@example.com>', to: ['<ops@example.com>', '<b@example.com>'], login: null }]);
    const [head = '', ...rest] = mails[0]?.data.split('\n\n') ?? [];
    t.match(head, /^Message-ID: <n-1@example\.com>$/m);
    t.match(head, /^Date: Thu, 01 Jan 1970 00:00:00 \+0000$/m);
    t.match(head, /^Subject: =\?UTF-8\?/m);
    t.notMatch(head, /^(X-Evil|Bcc):/im);
    t.match(rest.join('\n\n'), /Bcc: other@example\.com\nfile:\/\/\/etc\/passwd/);
  },
);

t.test('given a message that is sent twice, when the two are compared, then they are the same to the letter', async (t) => {
  const { port, mails } = await serveSmtp(t);
  const sendEmail = createSendEmail();

  await sendEmail(createChannel(port), row, never);
  await sendEmail(createChannel(port), row, never);

  t.equal(mails[0]?.data, mails[1]?.data);
});

t.test('given a title with a line break, when it is to be sent, then nothing is', async (t) => {
  const { port, mails } = await serveSmtp(t);

  for (const title of ['a\r\nBcc: x@example.com', 'a\nb', 'a\rb'])
    await t.rejects(createSendEmail()(createChannel(port), { ...row, title }, never), { code: 'invalid-params' });

  t.same(mails, []);
});

t.test('given a mail server that refuses the message, when it is sent, then the cause is a word and quotes nothing', async (t) => {
  const { port } = await serveSmtp(t, { answerData: () => '554 secret words of 10.0.0.1' });

  const running = createSendEmail()(createChannel(port), row, never);

  await t.rejects(running, { code: 'unavailable', details: { rule: 'mail-refused' } });
  await running.catch((error) => t.notMatch(JSON.stringify([error.message, error.details]), /secret|10\.0\.0\.1|example/));
});

t.test('given a mail server that says nothing, when the attempt is broken off, then it is over', async (t) => {
  const { port, asked } = await serveSmtp(t, { silent: true });
  const caller = new AbortController();
  const running = createSendEmail()(createChannel(port), row, caller.signal);

  await asked;
  caller.abort(new Error('enough'));

  await t.rejects(running, { message: 'enough' });
});

t.test('given a channel with a password, when the server offers no TLS, then the password is not sent', async (t) => {
  const { port, mails } = await serveSmtp(t);

  await t.rejects(createSendEmail()(createChannel(port, { user: 'u', password: 'p' }), row, never), {
    code: 'unavailable',
    details: { rule: 'tls' },
  });

  t.same(mails, []);
});

t.test('given a server with a certificate', { skip: skipWithoutOpenssl }, async (t) => {
  const certificate = makeCertificate(testFolder(t), 'IP:127.0.0.1');
  const trusting = createSendEmail({ ca: [certificate.cert] });

  for (const implicit of [true, false]) {
    t.test(
      `when it is trusted and speaks TLS ${implicit ? 'from the start' : 'after STARTTLS'}, then login and message go encrypted`,
      async (t) => {
        const { port, mails } = await serveSmtp(t, { tls: certificate, implicit });

        await trusting(createChannel(port, { secure: implicit, user: 'u', password: 'p' }), row, never);

        t.match(mails, [{ encrypted: true, login: '\0u\0p' }]);
      },
    );
    t.test(`when it is not trusted and speaks TLS ${implicit ? 'from the start' : 'after STARTTLS'}, then nothing is sent`, async (t) => {
      const { port, mails } = await serveSmtp(t, { tls: certificate, implicit });

      await t.rejects(createSendEmail()(createChannel(port, { secure: implicit, user: 'u', password: 'p' }), row, never), {
        code: 'unavailable',
        details: { rule: 'tls' },
      });

      t.same(mails, []);
    });
  }
});
