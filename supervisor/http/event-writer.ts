import type { ServerResponse } from 'node:http';
import type { createEventBuffer, EventBuffer } from 'better-sse';

const unsentBytes = 1024 * 1024; // above this, events for a client that does not read are dropped, and counted

/**
 * Writes the events of one response whose head is out. What is sent in one turn of the event loop leaves in one write: an event costs its text,
 * not a write of its own. Nothing here throws or rejects.
 */
export function createEventWriter(res: ServerResponse, createBuffer: typeof createEventBuffer) {
  // JSON has no line break as it is, and the names are ours: there is nothing to look for in them.
  const buffer: EventBuffer = createBuffer({ serializer: toJson, sanitizer: (text) => text });
  let number = 0;
  let dropped = 0;
  let isDue = false;

  const isOpen = () => !res.writableEnded && !res.destroyed;
  const push = (event: string, data: unknown) => void buffer.push(data, event, String(++number));

  function take(): string {
    const text = buffer.read();
    buffer.clear();
    return text;
  }

  function flush(): void {
    isDue = false;
    const text = take();
    if (text !== '' && isOpen()) res.write(text);
  }

  function flushSoon(): void {
    if (!isDue) setImmediate(flush);
    isDue = true;
  }

  function tellDropped(): void {
    if (dropped > 0) push('dropped', { events: dropped });
    dropped = 0;
  }

  return {
    send(event: string, data: unknown): void {
      if (!isOpen()) return;
      if (res.writableLength + buffer.read().length > unsentBytes) {
        dropped++;
        return;
      }
      tellDropped();
      push(event, data);
      flushSoon();
    },
    end(event: string, data: unknown): void {
      if (!isOpen()) return;
      tellDropped();
      push(event, data);
      res.end(take());
    },
    /** The last event of a stream that the service ends. */
    farewell(): void {
      if (isOpen()) res.end(`${take()}event: end\ndata: {}\n\n`);
    },
    comment(text: string): void {
      if (!isOpen()) return;
      buffer.comment(text).dispatch();
      flushSoon();
    },
  };
}

/** What JSON has no word for, undefined before all, is null. */
function toJson(data: unknown): string {
  try {
    return JSON.stringify(data) ?? 'null';
  } catch {
    return 'null'; // a cycle, or a BigInt
  }
}
