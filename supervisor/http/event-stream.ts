import type { IncomingMessage, ServerResponse } from 'node:http';
import { HostError } from '../../protocol/errors.ts';
import type { Clock, Timer } from '../clock.ts';

export type EventStream = {
  send(event: string, data: unknown): void;
  /** The last event; it is sent however much waits. */
  end(event: string, data: unknown): void;
  onClose(run: () => void): void; // also when it is closed already
};
export type LastEvent = { event: string; data: unknown };

const heartbeatMs = 15_000; // proxies cut what is silent for 30 s or more
const mostStreams = 256;
const unsentBytes = 1024 * 1024; // above this, events for a client that does not read are dropped, and counted

/** Loaded with the first stream: with what it imports it is 7 MiB, and many services never have one. */
async function begin(req: IncomingMessage, res: ServerResponse) {
  const { createEventBuffer, createSession } = await import('better-sse');
  return { session: await createSession(req, res, { keepAlive: null, trustClientEventId: false, statusCode: 200 }), createEventBuffer };
}

/** The open event streams of the service: each one is known, so that stopping can end them. */
export function createEventStreams(clock: Clock) {
  const closers = new Set<() => void>();
  const lasting = new Map<() => void, () => void>(); // instead of these closers
  let opening = 0;
  let closing = false;

  /** With `last` it goes on while the service stops, for as long as requests may; `last` is what is sent if it has not ended by then. */
  async function open(req: IncomingMessage, res: ServerResponse, last?: () => LastEvent): Promise<EventStream> {
    if (closing) throw new HostError('unavailable', 'the service is stopping');
    if (closers.size + opening >= mostStreams) {
      throw new HostError('rate-limited', `${mostStreams} event streams are open already`, { hint: 'close one of them' });
    }
    opening++;
    const { session, createEventBuffer } = await begin(req, res).finally(() => opening--);
    const listeners = new Set<() => void>();
    let beat: Timer | undefined;
    let dropped = 0;
    const usable = () => session.isConnected && !res.writableEnded && !res.destroyed;
    const end = () => void (usable() && res.end('event: end\ndata: {}\n\n'));
    const ping = () => {
      if (!usable()) return;
      void session.batch(createEventBuffer().comment('still here').dispatch());
      beat = clock.timer(heartbeatMs, ping);
    };
    closers.add(end);
    res.once('close', () => {
      beat?.cancel();
      closers.delete(end);
      lasting.delete(end);
      for (const run of listeners) run();
      listeners.clear();
    });
    if (last)
      lasting.set(end, () => {
        const { event, data } = last();
        if (usable()) res.end(`event:${event}\ndata:${JSON.stringify(data)}\n\n`); // at once: the connection is cut next
      });
    if (closing && !last)
      end(); // the stop came while it was opened
    else ping();

    return {
      send(event, data) {
        if (!usable()) return;
        if (res.writableLength > unsentBytes) dropped++;
        else {
          if (dropped > 0) session.push({ events: dropped }, 'dropped');
          dropped = 0;
          session.push(data, event);
        }
      },
      end(event, data) {
        if (!usable()) return;
        void session.batch((buffer) => void buffer.push(data, event)).then(() => res.end());
      },
      onClose: (run) => void (res.closed ? run() : listeners.add(run)),
    };
  }

  return {
    open,
    closeAll() {
      closing = true;
      for (const end of closers) if (!lasting.has(end)) end();
    },
    /** The service waits no longer. */
    cutAll() {
      for (const cut of lasting.values()) cut();
    },
  };
}
