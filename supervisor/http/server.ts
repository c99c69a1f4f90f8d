import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Koa from 'koa';
import { HostError } from '../../protocol/errors.ts';
import type { Clock } from '../clock.ts';
import { http } from '../lean-http.ts';
import { announcesTooMuch } from './body.ts';
import { createConnections } from './connections.ts';
import { isWildcard } from './host-check.ts';
import type { State } from './serve-request.ts';
import { verifyBodyBytes } from './trust-routes.ts';

export type Limits = { headersMs: number; requestMs: number; keepAliveMs: number; checkMs: number; connections: number };

/** A request has its head within 10 s and is complete within 30 s; Node looks for those that are late every 5 s. */
export const serverLimits: Limits = { headersMs: 10_000, requestMs: 30_000, keepAliveMs: 65_000, checkMs: 5_000, connections: 1024 };

export type Server = { url: string; stop(graceMs: number): Promise<void> };

/** Listens and serves the app. `stop` takes no new connection, lets requests under way end within the grace time, then cuts. */
export async function startServer(
  app: Koa<State>,
  options: { host: string; port: number; clock: Clock; limits?: Partial<Limits> },
): Promise<Server> {
  const limits = { ...serverLimits, ...options.limits };
  const connections = createConnections(limits.connections, (gone) => app.emit('crowded', gone.remoteAddress));
  const serve = app.callback();
  function answer(req: IncomingMessage, res: ServerResponse): void {
    connections.asked(req.socket);
    void serve(req, res);
  }
  const server = http.createServer(
    {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: limits.checkMs,
    },
    answer,
  );
  server.on('connection', connections.opened);
  app.on('authenticated', connections.trust);
  // Who asks first whether to send a body that is too large is not told to go on.
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
    if (!announcesTooMuch(req, verifyBodyBytes)) res.writeContinue();
    answer(req, res);
  });
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(listenFailed(error, options));
    server.once('error', failed);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', failed);
      resolve();
    });
  });
  let stopped: Promise<void> | null = null;
  return {
    url: urlOf(server.address() as AddressInfo, options.host), // a listening TCP server has such an address
    stop(graceMs) {
      stopped ??= new Promise((resolve) => {
        const cut = options.clock.timer(graceMs, () => {
          app.emit('cutting');
          server.closeAllConnections();
        });
        server.close(() => {
          cut.cancel();
          resolve();
        });
        app.emit('stopping');
        server.closeIdleConnections();
      });
      return stopped;
    },
  };
}

/** A URL that a client on this machine can use: a listener on every address is reached by loopback. */
function urlOf({ address, port, family }: AddressInfo, asked: string): string {
  const six = family === 'IPv6';
  const host = isWildcard(asked) ? (six ? '::1' : '127.0.0.1') : address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function listenFailed(error: NodeJS.ErrnoException, { host, port }: { host: string; port: number }): HostError {
  const hint =
    error.code === 'EADDRINUSE'
      ? 'another process listens there: stop it, or choose another port in LATTICE_LISTEN'
      : 'check LATTICE_LISTEN';
  return new HostError('unavailable', `cannot listen on ${host}:${port} (${error.code ?? 'unknown'})`, { hint }, { cause: error });
}
