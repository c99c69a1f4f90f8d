import { createDeadlines, type Timers } from './deadlines.ts';
import { asHostError, fromRpcError, HostError } from './errors.ts';
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
  resolve(result: unknown): void;
  reject(error: HostError): void;
  /** No longer listens to the caller's signal. */
  leave: (() => void) | null;
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
  const deadlines = createDeadlines<number>(timers, (id) =>
    abandon(
      id,
      new HostError('deadline-exceeded', `no answer to ${pending.get(id)?.method ?? 'the request'} in time`, { rule: 'no-answer' }),
    ),
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

  /** Forgets the request, and lets the next one go. */
  function remove(id: MessageId, entry: Pending): void {
    pending.delete(id);
    entry.leave?.();
    deadlines.remove(id as number); // the ids that we issue are numbers
    if (entry.sent) inFlight--;
    else {
      queuedBytes -= entry.line.length;
      const place = queue.indexOf(id as number);
      if (place >= 0) queue.splice(place, 1); // given up before it was sent: its place is free again
    }
    while (queue.length > 0 && inFlight < wireLimits.inFlight) {
      const next = queue.shift() ?? 0;
      queuedBytes -= pending.get(next)?.line.length ?? 0;
      transmit(next);
    }
  }

  function fail(id: MessageId, error: HostError): void {
    const entry = pending.get(id);
    if (!entry) return;
    remove(id, entry);
    entry.reject(error);
  }

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

  function request(method: string, params: unknown, options: RequestOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const refused = begin(method, params, options, resolve, reject);
      if (refused) reject(refused);
    });
  }

  /** The reason when the request cannot be made. */
  function begin(
    method: string,
    params: unknown,
    { signal, timeoutMs, vital = false, onProgress, onAnswer }: RequestOptions,
    resolve: Pending['resolve'],
    reject: Pending['reject'],
  ): HostError | null {
    if (closed) return closed;
    if (signal?.aborted) return new HostError('cancelled', 'the request was cancelled before it was sent');
    if (queue.length >= wireLimits.queued && !vital)
      return new HostError('rate-limited', `${wireLimits.queued} requests wait already`, { rule: 'queue-full', hint: 'ask less at once' });
    const id = nextId++;
    const line = encodeLine({ jsonrpc: '2.0', id, method, params });
    if (line === null) return tooLarge();
    if (!vital && unsentBytes() + queuedBytes + line.length > heldMostBytes)
      return new HostError('rate-limited', 'the other end has not read what it was sent', {
        rule: 'unread-requests',
        hint: 'ask less at once',
      });
    const leave = signal ? follow(id, method, signal) : null;
    pending.set(id, { method, onProgress, sent: false, line, vital, onAnswer, resolve, reject, leave });
    deadlines.add(id, timeoutMs);
    transmit(id);
    return null;
  }

  function follow(id: number, method: string, signal: AbortSignal): () => void {
    const cancel = () => abandon(id, new HostError('cancelled', `${method} was cancelled`));
    signal.addEventListener('abort', cancel, { once: true });
    return () => signal.removeEventListener('abort', cancel);
  }

  return {
    request,
    /** False when the id was never issued. */
    settle(id: MessageId, value: Record<string, unknown>): boolean {
      const entry = pending.get(id);
      if (entry?.sent) {
        remove(id, entry);
        if (value.error !== undefined) entry.reject(fromRpcError(value.error));
        else {
          entry.onAnswer?.(value.result);
          entry.resolve(value.result);
        }
        return true;
      }
      if (!forgotten.delete(id)) return false;
      counters.late_answers++;
      return true;
    },
    /** Whether somebody listens. A listener that throws fails its own request, nothing else: it is called from where the stream is read. */
    progress(id: unknown, value: unknown): boolean {
      const listener = pending.get(id as MessageId)?.onProgress; // an id of another type finds nothing
      if (!listener) return false;
      try {
        listener(value);
      } catch (thrown) {
        abandon(id as number, asHostError(thrown));
      }
      return true;
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
