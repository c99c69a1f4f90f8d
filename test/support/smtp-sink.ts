import net from 'node:net';
import tls from 'node:tls';
import type { Test } from 'tap';
import { type Certificate, listen } from './local-servers.ts';

export type Mail = { from: string; to: string[]; data: string; login: string | null; encrypted: boolean };
export type SinkOptions = { tls?: Certificate; implicit?: boolean; answerData?: (count: number) => string; silent?: boolean };

/** A mail server on loopback that keeps what it is sent; it offers STARTTLS when it has a certificate, and logins only under TLS. */
export async function serveSmtp(t: Test, options: SinkOptions = {}): Promise<{ port: number; mails: Mail[]; asked: Promise<void> }> {
  const mails: Mail[] = [];
  const asked = Promise.withResolvers<void>();
  const server = net.createServer((socket) => {
    asked.resolve();
    if (options.silent) return;
    const secured = options.implicit ? secure(socket, options) : socket;
    converse(secured, options.implicit === true, options, mails);
    secured.write('220 sink.test ready\r\n');
  });
  return { port: await listen(t, server), mails, asked: asked.promise };
}

function secure(socket: net.Socket, options: SinkOptions): tls.TLSSocket {
  const secured = new tls.TLSSocket(socket, { isServer: true, ...options.tls });
  secured.on('error', () => {});
  return secured;
}

function converse(socket: net.Socket, encrypted: boolean, options: SinkOptions, mails: Mail[]): void {
  let mail: Mail = { from: '', to: [], data: '', login: null, encrypted };
  let inData = false;
  let pending = '';
  const say = (line: string) => socket.write(`${line}\r\n`);
  const greet = () => {
    if (encrypted) return say('250-sink.test\r\n250 AUTH PLAIN');
    return say(options.tls ? '250-sink.test\r\n250 STARTTLS' : '250 sink.test');
  };

  function take(line: string): void {
    if (inData && line !== '.') mail.data += `${line.startsWith('..') ? line.slice(1) : line}\n`;
    else if (inData) finish();
    else if (/^EHLO/i.test(line)) greet();
    else if (/^STARTTLS/i.test(line)) upgrade();
    else if (/^AUTH PLAIN/i.test(line)) login(line);
    else if (/^MAIL FROM/i.test(line)) begin(line);
    else if (/^RCPT TO/i.test(line)) addRecipient(line);
    else if (/^DATA/i.test(line)) start();
    else say(/^QUIT/i.test(line) ? '221 bye' : '502 no');
  }
  const begin = (line: string) => {
    mail = { ...mail, from: line.slice(10), to: [], data: '' };
    say('250 ok');
  };
  const addRecipient = (line: string) => {
    mail.to.push(line.slice(8));
    say('250 ok');
  };
  const login = (line: string) => {
    mail.login = Buffer.from(line.split(' ')[2] ?? '', 'base64').toString();
    say('235 ok');
  };
  const start = () => {
    inData = true;
    say('354 go on');
  };
  const finish = () => {
    inData = false;
    mails.push(mail);
    say(options.answerData?.(mails.length) ?? '250 taken');
  };
  const upgrade = () => {
    say('220 go on');
    socket.removeAllListeners('data');
    converse(secure(socket, options), true, options, mails);
  };

  socket.on('data', (chunk) => {
    const lines = (pending + chunk.toString('utf8')).split('\r\n');
    pending = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
}
