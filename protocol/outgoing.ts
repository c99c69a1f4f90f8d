import { JSONRPCClient, type JSONRPCResponse } from 'json-rpc-2.0';
import { createDeadlines, type Timers } from './deadlines.ts';
import { fromRpcError, HostError, toRpcError } from './errors.ts';
import { encodeLine } from './framing.ts';
import type { MessageId } from './message.ts';
import { wireLimits } from './version.ts';

export type RequestOptions = {
  timeoutMs: number;
  signal?: AbortSignal;
  onProgress?: (value: unknown) => void;
  /** Called with the result before the next message is looked at, which may depend on it. */
  onAnswer?: (result: unknown) => void;
  /** Goes out beside the 64, past the queue. */
  vital?: boolean;
};
type Deps = {
  timers: Timers;
  counters: { late_answers: number };
  send(message: unknown): boolean;
  sendLine(line: string): boolean;
  /** Bytes that wait to be read by the other end, and how many may before a request is refused. */
  unsentBytes(): number;
  heldMostBytes: number;
};
type Pending = {
  method: string;
  onProgress: ((value: unknown) => void) | undefined;
  sent: boolean;
  line: string;
  vital: boolean;
  onAnswer: RequestOptions['onAnswer'];
};

/** Our own requests: at most 64 in flight, more wait in a bounded queue; each has a deadline that counts from the moment it was asked. */
export function createOutgoing({ timers, counters, send, sendLine, unsentBytes, heldMostBytes }: Deps) {
  const pending = new Map<MessageId, Pending>();
  const queue: number[] = [];
  let queuedBytes = 0;
  const forgotten = new Set<MessageId>(); // timed out or cancelled: a late answer is not a violation
  let inFlight = 0;
  let nextId = 1;
  let closed: HostError | null = null;
  const client = new JSONRPCClient<number>((_message, id) => transmit(id));
  const deadlines = createDeadlines<number>(timers, (id) =>
    abandon(id, new HostError('deadline-exceeded', `no answer to ${pending.get(id)?.method ?? 'the request'} in time`)),
  );

  function transmit(id: number): void {
    const entry = pending.get(id);
    if (!entry) return;
    if (inFlight >= wireLimits.inFlight && !entry.vital) {
      queue.push(id);
      queuedBytes += entry.line.length;
      return;
    }
    sendLine(entry.line);
    entry.line = '';
    entry.sent = true;
    inFlight++;
  }

  /** Hands the answer to json-rpc-2.0, which settles the promise it gave out, and lets the next one go. */
  function finish(id: MessageId, response: JSONRPCResponse): void {
    const entry = pending.get(id);
    if (!entry) return;
    pending.delete(id);
    deadlines.remove(id as number); // the ids that we issue are numbers
    if (entry.sent) inFlight--;
    else {
      queuedBytes -= entry.line.length;
      const place = queue.indexOf(id as number);
      if (place >= 0) queue.splice(place, 1); // given up before it was sent: its place is free again
    }
    client.receive(response);
    while (queue.length > 0 && inFlight < wireLimits.inFlight) {
      const next = queue.shift() ?? 0;
      queuedBytes -= pending.get(next)?.line.length ?? 0;
      transmit(next);
    }
  }

  const fail = (id: MessageId, error: HostError): void => finish(id, { jsonrpc: '2.0', id, error: toRpcError(error) });

  function abandon(id: number, error: HostError): void {
    const entry = pending.get(id);
    if (!entry) return;
    if (entry.sent) {
      forgotten.add(id);
      if (forgotten.size > wireLimits.rememberedIds)
        for (const oldest of forgotten) {
          forgotten.delete(oldest);
          break;
        } // a Set keeps the order of insertion
      send({ jsonrpc: '2.0', method: '$/cancelRequest', params: { id } });
    }
    fail(id, error);
  }

  async function request(method: string, params: unknown, options: RequestOptions): Promise<unknown> {
    if (closed) throw closed;
    if (options.signal?.aborted) throw new HostError('cancelled', 'the request was cancelled before it was sent');
    const vital = options.vital ?? false;
    if (queue.length >= wireLimits.queued && !vital)
      throw new HostError('rate-limited', `${wireLimits.queued} requests wait already`, { rule: 'queue-full', hint: 'ask less at once' });
    const id = nextId++;
    const line = encodeLine({ jsonrpc: '2.0', id, method, params });
    if (line === null) throw tooLarge();
    if (unsentBytes() + queuedBytes + line.length > heldMostBytes && !vital)
      throw new HostError('rate-limited', 'the other end has not read what it was sent', {
        rule: 'unread-requests',
        hint: 'ask less at once',
      });
    pending.set(id, { method, onProgress: options.onProgress, sent: false, line, vital, onAnswer: options.onAnswer });
    deadlines.add(id, options.timeoutMs);
    const cancel = () => abandon(id, new HostError('cancelled', `${method} was cancelled`));
    options.signal?.addEventListener('abort', cancel, { once: true });
    try {
      const response = await client.requestAdvanced({ jsonrpc: '2.0', id, method, params }, id);
      if (response.error) throw fromRpcError(response.error);
      return response.result;
    } finally {
      options.signal?.removeEventListener('abort', cancel);
      if (pending.delete(id)) deadlines.remove(id);
    }
  }

  return {
    request,
    /** False when the id was never issued. */
    settle(id: MessageId, value: Record<string, unknown>): boolean {
      if (pending.get(id)?.sent) {
        if (Object.hasOwn(value, 'result')) pending.get(id)?.onAnswer?.(value.result);
        finish(id, value as unknown as JSONRPCResponse); // classifyMessage has checked its shape
        return true;
      }
      if (!forgotten.delete(id)) return false;
      counters.late_answers++;
      return true;
    },
    progress(id: unknown, value: unknown): void {
      pending.get(id as MessageId)?.onProgress?.(value); // an id of another type finds nothing
    },
    close(reason: HostError): void {
      closed = reason;
      queue.length = 0;
      for (const id of [...pending.keys()]) fail(id, reason);
      deadlines.clear();
    },
    size: () => pending.size,
    queuedBytes: () => queuedBytes,
  };
}

const tooLarge = () => new HostError('payload-too-large', `a message is at most ${wireLimits.lineBytes} bytes`);
