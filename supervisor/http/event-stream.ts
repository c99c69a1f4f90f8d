import type { IncomingMessage, ServerResponse } from 'node:http';
import { HostError } from '../../protocol/errors.ts';
import type { Clock, Timer } from '../clock.ts';
import { createEventWriter } from './event-writer.ts';

export type EventStream = {
  /** Never throws, and nothing that is sent ends the stream: what is no JSON goes out as null. */
  send(event: string, data: unknown): void;
  /** The last event; it is sent however much waits. */
  end(event: string, data: unknown): void;
  onClose(run: () => void): void; // also when it is closed already
};
export type LastEvent = { event: string; data: unknown };
/** One of the streams that may be open, taken until its response closes, and what happens to it when the service stops. */
type Place = { stop(): void; cut(): void };

const heartbeatMs = 15_000; // proxies cut what is silent for 30 s or more
const mostStreams = 256;
const nothing = () => {};

/** Loaded with the first stream: with what it imports it is 7 MiB, and many services never have one. */
async function begin(req: IncomingMessage, res: ServerResponse) {
  const { createEventBuffer, createSession } = await import('better-sse');
  await createSession(req, res, { keepAlive: null, trustClientEventId: false, statusCode: 200 });
  return createEventWriter(res, createEventBuffer);
}

/** The open event streams of the service: each one is known, so that stopping can end them. */
export function createEventStreams(clock: Clock) {
  const places = new Set<Place>();
  let stopping = false;
  let cutting = false;

  /** With `last` it goes on while the service stops, for as long as requests may; `last` is what is sent if it has not ended by then. */
  async function open(req: IncomingMessage, res: ServerResponse, last?: () => LastEvent): Promise<EventStream> {
    if (stopping) throw new HostError('unavailable', 'the service is stopping');
    if (places.size >= mostStreams) {
      throw new HostError('rate-limited', `${mostStreams} event streams are open already`, { hint: 'close one of them' });
    }
    const onClose = watchClose(res); // before anything is waited for: a close is told only once
    const place: Place = { stop: nothing, cut: nothing };
    places.add(place);
    onClose(() => places.delete(place));
    const writer = await begin(req, res).catch((error: unknown) => {
      places.delete(place);
      throw error;
    });
    if (!last) place.stop = writer.farewell;
    else
      place.cut = () => {
        const { event, data } = last();
        writer.end(event, data);
      };
    keepAlive(writer.comment, onClose);
    if (stopping) place.stop(); // the stop came while it was opened
    if (cutting) place.cut();
    return { send: writer.send, end: writer.end, onClose };
  }

  function keepAlive(comment: (text: string) => void, onClose: EventStream['onClose']): void {
    let beat: Timer;
    const ping = () => {
      comment('still here');
      beat = clock.timer(heartbeatMs, ping);
    };
    ping();
    onClose(() => beat.cancel());
  }

  return {
    open,
    closeAll() {
      stopping = true;
      for (const { stop } of places) stop();
    },
    /** The service waits no longer. */
    cutAll() {
      cutting = true;
      for (const { cut } of places) cut();
    },
  };
}

function watchClose(res: ServerResponse): EventStream['onClose'] {
  const listeners = new Set<() => void>();
  let closed = res.closed || res.destroyed;
  res.once('close', () => {
    closed = true;
    for (const run of listeners) run();
    listeners.clear();
  });
  return (run) => void (closed ? run() : listeners.add(run));
}
