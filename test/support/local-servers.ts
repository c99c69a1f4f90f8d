import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';

/** Starts a server on a loopback port that the kernel chooses; it and its connections are gone when the test ends. */
export async function listen(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return (server.address() as AddressInfo).port; // a server that listens on TCP has one
}

export type Seen = { method: string; url: string; headers: http.IncomingHttpHeaders; body: string };
type Answer = (seen: Seen, response: http.ServerResponse, count: number) => void;

/** An HTTP server that keeps what it was sent. */
export async function serveHttp(t: Test, answer: Answer, tls?: { key: string; cert: string }): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const handle = async (request: http.IncomingMessage, response: http.ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method = '', url = '', headers } = request;
    const kept = { method, url, headers, body: Buffer.concat(chunks).toString('utf8') };
    seen.push(kept);
    answer(kept, response, seen.length);
  };
  const listener: http.RequestListener = (request, response) => void handle(request, response).catch(() => {});
  return { port: await listen(t, tls ? https.createServer(tls, listener) : http.createServer(listener)), seen };
}

/** A server that writes these bytes at the first request, whatever it is, and then does as told. */
export function serveBytes(t: Test, write: (socket: net.Socket) => void): Promise<number> {
  return listen(
    t,
    net.createServer((socket) => void socket.once('data', () => write(socket))),
  );
}

export type Certificate = { key: string; cert: string };

/** Why tests that need certificates are skipped, or false. */
export const skipWithoutOpenssl: string | false = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is missing';

/** A certificate that vouches for itself and for nothing else. */
export function makeCertificate(folder: string, names: string): Certificate {
  const name = names.replace(/[^a-z0-9]/gi, '-');
  const keyFile = join(folder, `${name}.key`);
  const certFile = join(folder, `${name}.crt`);
  const command = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -addext subjectAltName=${names} -days 2`;
  execFileSync('openssl', [...command.split(' '), '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
  return { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
}
