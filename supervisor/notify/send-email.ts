import { HostError } from '../../protocol/errors.ts';
import { classifyFailure, nameError } from '../host/connection-causes.ts';
import type { EmailChannel } from './channels.ts';
import type { OutboxRow } from './outbox.ts';

export type SendEmail = (channel: EmailChannel, row: OutboxRow, signal: AbortSignal) => Promise<void>;

const timeoutsMs = {
  dnsTimeout: 5000,
  connectionTimeout: 10_000,
  greetingTimeout: 10_000,
  socketTimeout: 20_000,
  socketCloseTimeout: 1000,
};
const serverAnswerBytes = 64 * 1024;

/** Sends one message on a connection of its own. Sender, recipients and header names are the operator's; the plugin writes subject and text. */
export function createSendEmail(deps: { ca?: readonly string[] } = {}): SendEmail {
  return async function sendEmail(channel, row, signal) {
    if (/[\r\n\0]/.test(row.title)) throw new HostError('invalid-params', 'a title has a line break', { rule: 'title-invalid' });
    const { default: nodemailer } = await import('nodemailer'); // most services send none
    const transport = nodemailer.createTransport({
      host: channel.host,
      port: channel.port,
      secure: channel.secure,
      requireTLS: channel.requireTls,
      tls: { rejectUnauthorized: true, minVersion: 'TLSv1.2', ...(deps.ca === undefined ? {} : { ca: [...deps.ca] }) },
      ...(channel.user === undefined ? {} : { auth: { user: channel.user, pass: channel.password } }),
      ...timeoutsMs,
      maxResponseSize: serverAnswerBytes,
      disableFileAccess: true, // a text that names a file or a URL stays text
      disableUrlAccess: true,
      logger: false,
    });
    try {
      await transport.sendMail({ ...composeEmail(channel, row), signal });
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      throw new HostError(
        'unavailable',
        'the mail server did not take the message',
        { rule: causeOf(thrown) },
        { cause: nameError(thrown)[0] },
      );
    } finally {
      transport.close();
    }
  };
}

/** A repeat is the same message to the letter, Message-ID and date included, so that the receiver can drop it. */
function composeEmail(channel: EmailChannel, row: OutboxRow) {
  const domain = channel.from.slice(channel.from.lastIndexOf('@') + 1);
  return {
    envelope: { from: channel.from, to: channel.to },
    from: { name: '', address: channel.from },
    to: channel.to.map((address) => ({ name: '', address })),
    subject: `[${row.severity}] ${row.title}`,
    text: `${row.text}\n\n-- \n${row.plugin}, ${new Date(row.createdMs).toISOString()}, ${row.id}\n`,
    messageId: `<${row.id}@${domain}>`,
    date: new Date(row.createdMs),
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Lattice-Plugin': row.plugin },
  };
}

const causes: Readonly<Record<string, string>> = {
  EAUTH: 'mail-login',
  ENOAUTH: 'mail-login',
  EENVELOPE: 'mail-address',
  EMESSAGE: 'mail-refused',
};

/** The error's text quotes the server and may name addresses; only a word for it is kept. */
function causeOf(thrown: unknown): string {
  const own = nameError(thrown).find((name) => Object.hasOwn(causes, name));
  return own === undefined ? classifyFailure(thrown).rule : (causes[own] ?? own);
}
