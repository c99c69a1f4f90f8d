import { JSONRPCClient, type JSONRPCResponse } from 'json-rpc-2.0';
import { createDeadlines, type Timers } from './deadlines.ts';
import { fromRpcError, HostError, toRpcError } from './errors.ts';
import type { MessageId } from './message.ts';
import { wireLimits } from './version.ts';

export type RequestOptions = { timeoutMs: number; signal?: AbortSignal; onProgress?: (value: unknown) => void };
type Deps = { timers: Timers; counters: { late_answers: number }; send(message: unknown): boolean };
type Pending = { method: string; onProgress: ((value: unknown) => void) | undefined; sent: boolean };

/** Our own requests: at most 64 in flight, more wait in a bounded queue; each has a deadline that counts from the moment it was asked. */
export function createOutgoing({ timers, counters, send }: Deps) {
  const pending = new Map<MessageId, Pending>();
  const queue: { id: number; message: unknown }[] = [];
  const forgotten = new Set<MessageId>(); // timed out or cancelled: a late answer is not a violation
  let inFlight = 0;
  let nextId = 1;
  let closed: HostError | null = null;
  const client = new JSONRPCClient<number>((message, id) => transmit(id, message));
  const deadlines = createDeadlines<number>(timers, (id) =>
    abandon(id, new HostError('deadline-exceeded', `no answer to ${pending.get(id)?.method ?? 'the request'} in time`)),
  );

  function transmit(id: number, message: unknown): void {
    if (inFlight >= wireLimits.inFlight) {
      queue.push({ id, message });
      return;
    }
    const entry = pending.get(id);
    if (!entry) return;
    if (!send(message)) throw new Error('too large');
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
    client.receive(response);
    while (queue.length > 0 && inFlight < wireLimits.inFlight) {
      const next = queue.shift();
      if (!next || !pending.has(next.id)) continue;
      try {
        transmit(next.id, next.message);
      } catch {
        fail(next.id, tooLarge());
      }
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
    if (queue.length >= wireLimits.queued)
      throw new HostError('rate-limited', `${wireLimits.queued} requests wait already`, { rule: 'queue-full', hint: 'ask less at once' });
    const id = nextId++;
    pending.set(id, { method, onProgress: options.onProgress, sent: false });
    deadlines.add(id, options.timeoutMs);
    const cancel = () => abandon(id, new HostError('cancelled', `${method} was cancelled`));
    options.signal?.addEventListener('abort', cancel, { once: true });
    try {
      const response = await client.requestAdvanced({ jsonrpc: '2.0', id, method, params }, id);
      if (response.error) throw pending.has(id) ? tooLarge() : fromRpcError(response.error);
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
  };
}

const tooLarge = () => new HostError('payload-too-large', `a message is at most ${wireLimits.lineBytes} bytes`);
