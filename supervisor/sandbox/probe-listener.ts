import { randomBytes } from 'node:crypto';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Clock } from '../clock.ts';

const nonceBytes = 16;
export const createNonce = (): string => randomBytes(nonceBytes).toString('hex');

/** Each probe has few canaries; the rest are strangers, and after so many there is nothing to be learned here any more. */
const connectionsMost = 256;
const answerMs = 2_000;

/**
 * Listens on loopback and notes the nonces that it is told. Any user of the host may connect: a connection alone says nothing, is read no
 * further than a nonce is long, and ends with the listener.
 */
export async function openListener(clock: Clock) {
  const heard = new Set<string>();
  const sockets = new Set<Socket>();
  let accepted = 0;
  let onHeard = (): void => {};
  const server = createServer((socket) => {
    if (++accepted === connectionsMost) server.close(); // strangers must not keep this event loop busy either
    sockets.add(socket);
    let said = '';
    socket
      .setEncoding('latin1')
      .on('data', (chunk: string) => {
        said += chunk.slice(0, nonceBytes * 2);
        if (said.length < nonceBytes * 2) return;
        heard.add(said.slice(0, nonceBytes * 2));
        socket.destroy();
        onHeard();
      })
      .on('error', () => {})
      .on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  server.on('error', () => {});
  const { port } = server.address() as AddressInfo; // it listens on TCP

  return {
    port,
    wasTold: (nonce: string): boolean => heard.has(nonce),
    /** Whether a connection from outside any sandbox comes through. All that came before it has been accepted by then. */
    async answers(): Promise<boolean> {
      const nonce = createNonce();
      const socket = connect(port, '127.0.0.1', () => socket.end(nonce));
      const came = await new Promise<boolean>((resolve) => {
        const timer = clock.timer(answerMs, () => settle(false));
        const settle = (answer: boolean): void => {
          timer.cancel();
          resolve(answer);
        };
        onHeard = () => heard.has(nonce) && settle(true);
        socket.on('error', () => settle(false));
      });
      socket.destroy();
      return came;
    },
    async close(): Promise<void> {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
