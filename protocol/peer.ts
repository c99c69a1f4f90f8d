import type { Readable, Writable } from 'node:stream';
import type { Timers } from './deadlines.ts';
import { HostError, toRpcError } from './errors.ts';
import { createFramer, encodeLine, type FrameRule, type WholeFrame } from './framing.ts';
import { createIncoming, type HandleRequest } from './incoming.ts';
import { classifyMessage, type MessageId, type MessageRule } from './message.ts';
import { createOutgoing, type RequestOptions } from './outgoing.ts';
import { createReading } from './reading.ts';
import { wireLimits } from './version.ts';
import { costs, createWorkMeter, openShare, type WorkMeter } from './work.ts';

export type PeerRule =
  | FrameRule
  | MessageRule
  | 'duplicate-id'
  | 'unknown-answer'
  | 'request-without-id'
  | 'in-flight-exceeded'
  | 'write-stalled';

export type PeerOptions = {
  input: Readable;
  output: Writable;
  timers: Timers;
  handle: HandleRequest;
  onStray(text: string): void;
  /** The other end broke a rule: nothing more is read or sent. */
  onViolation(rule: PeerRule, detail: string): void;
  onEnd?(): void;
  /** Only the supervisor has one: it may stop reading a child that does not read it. A child always reads, so both cannot wait for each other. */
  stalledAfterMs?: number;
  /** What rations the work for the other end; without one it is trusted. */
  meter?: WorkMeter;
  /** The child's end: it takes deeper messages, answers `uncounted` methods even when 64 others run, and refuses for ever what is too much. */
  child?: boolean;
};

export type PeerCounters = {
  received: number;
  sent: number;
  late_answers: number;
  ignored_notifications: number;
  refused_in_flight: number;
};

/** What tells a busy child from a dead one, and begins and ends it, must not wait behind its work. */
const vitalMethods: ReadonlySet<string> = new Set(['initialize', 'ping', 'shutdown']);
const noMethods: ReadonlySet<string> = new Set();

/**
 * JSON-RPC 2.0 both ways over two streams, on json-rpc-2.0's client and server: caps on calls in flight, a deadline on each, cancellation,
 * progress, and backpressure by not reading. Used by both ends; only the supervisor passes `stalledAfterMs`.
 */
export function createPeer(options: PeerOptions) {
  const { input, output, timers } = options;
  const meter = options.meter ?? createWorkMeter(timers, openShare);
  const framer = createFramer(
    wireLimits.lineBytes,
    wireLimits.depth + (options.child ? wireLimits.wrapping : 0),
    options.meter !== undefined,
  );
  const bounded = options.stalledAfterMs !== undefined;
  const counters: PeerCounters = { received: 0, sent: 0, late_answers: 0, ignored_notifications: 0, refused_in_flight: 0 };
  let lines: string[] = [];
  let linesBytes = 0;
  let mostHeldBytes = 0;
  let closed = false;
  let stalled: { cancel(): void } | null = null;

  const unsentBytes = () => linesBytes + output.writableLength;
  const heldBytes = () => (closed ? 0 : framer.heldBytes() + unsentBytes() + outgoing.queuedBytes());
  const noteHeld = () => {
    mostHeldBytes = Math.max(mostHeldBytes, heldBytes());
  };

  function send(message: unknown): boolean {
    const line = encodeLine(message);
    return line !== null && sendLine(line);
  }

  function sendLine(line: string): boolean {
    if (closed) return false;
    // One write carries all answers: those of a chunk leave at its end, those of promises after all promises of this turn.
    if (lines.length === 0 && !reading.isAtWork()) process.nextTick(flush);
    lines.push(line);
    linesBytes += line.length;
    counters.sent++;
    return true;
  }

  /** An answer that the other end is not reading away fast enough becomes an error: what waits for it is bounded. */
  function sendAnswer(message: object): boolean {
    const line = encodeLine(message);
    if (line === null) return false;
    meter.spend(line.length * costs.byte);
    if (!bounded || line.length <= wireLimits.smallBytes || unsentBytes() + outgoing.queuedBytes() + line.length <= wireLimits.heldBytes)
      return sendLine(line);
    return send({ jsonrpc: '2.0', id: (message as { id?: unknown }).id, error: toRpcError(unreadAnswers()) });
  }

  function flush(): void {
    if (lines.length === 0 || closed) return;
    const text = lines.length === 1 ? (lines[0] ?? '') : lines.join('');
    lines = [];
    noteHeld();
    linesBytes = 0;
    output.write(text);
    if (options.stalledAfterMs !== undefined && output.writableLength > wireLimits.unsentBytes && !stalled) {
      stalled = timers.timer(options.stalledAfterMs, () => violate('write-stalled', 'the other end did not read for too long'));
      output.once('drain', () => {
        stalled?.cancel();
        stalled = null;
        reading.proceed();
      });
    }
  }

  const incoming = createIncoming({
    handle: options.handle,
    counters,
    send: sendAnswer,
    uncounted: options.child ? vitalMethods : noMethods,
    onExceeded: () =>
      options.child ||
      violate('in-flight-exceeded', `over ${wireLimits.inFlight} requests in flight, ${wireLimits.rateLimitedInARow} times in a row`),
  });
  const outgoing = createOutgoing({
    timers,
    counters,
    send,
    sendLine,
    unsentBytes,
    heldMostBytes: bounded ? wireLimits.heldRequestsBytes : Number.POSITIVE_INFINITY,
  });

  function violate(rule: PeerRule, detail: string): void {
    if (closed) return;
    close(new HostError('plugin-crashed', `the other end broke the protocol: ${rule}`, { rule }));
    options.onViolation(rule, detail);
  }

  function receive(frame: WholeFrame): void {
    if (closed) return;
    if (frame.kind === 'stray') return options.onStray(frame.text);
    if (frame.kind === 'violation') return violate(frame.rule, frame.detail);
    counters.received++;
    const message = classifyMessage(frame.value);
    switch (message.kind) {
      case 'violation':
        return violate(message.rule, message.detail);
      case 'request':
        meter.spend(costs.request);
        if (!incoming.accept(message.id, message.method, message.params)) violate('duplicate-id', 'an id is in flight twice');
        return;
      case 'response':
        if (!outgoing.settle(message.id, message.value)) violate('unknown-answer', 'an answer to an id that was never issued');
        return;
      case 'notification':
        return notice(message.method, message.params, frame.work);
    }
  }

  function notice(method: string, params: unknown, work: number): void {
    const { id, value } = (typeof params === 'object' && params !== null ? params : {}) as { id?: MessageId; value?: unknown };
    if (method === '$/cancelRequest') incoming.cancel(id);
    else if (method === '$/progress') {
      if (outgoing.progress(id, value ?? null)) meter.spend(costs.event + work);
    } else if (method.startsWith('$/')) counters.ignored_notifications++;
    else violate('request-without-id', 'a request must have an id');
  }

  const reading = createReading({
    ...{ input, framer, meter, timers, receive },
    onChunk: noteHeld,
    onRest: flush,
    isHeld: () => stalled !== null,
    onEnd: () => options.onEnd?.(),
  });
  output.on('error', () => {}); // a broken pipe shows as the child's exit, which says more

  function close(reason: HostError): void {
    if (closed) return;
    flush();
    closed = true;
    lines = [];
    stalled?.cancel();
    stalled = null;
    outgoing.close(reason);
    incoming.close(reason);
    reading.discard();
  }

  return {
    /** Resolves with the answer; rejects with a HostError (the other end's, or `deadline-exceeded`, `cancelled`, `rate-limited`, `payload-too-large`). */
    request: (method: string, params: unknown, request: RequestOptions): Promise<unknown> => outgoing.request(method, params, request),
    notify: (method: string, params: unknown): void => void send({ jsonrpc: '2.0', method, params }),
    close,
    inFlight: () => ({ incoming: incoming.size(), outgoing: outgoing.size() }),
    /** Of the line that is coming in, and of all that waits to go out; the most there was at once. */
    heldBytes,
    mostHeldBytes: () => mostHeldBytes,
    /** How long, all in all, the other end was not read because its share was used up. */
    withheldMs: reading.withheldMs,
    counters: (): PeerCounters => ({ ...counters }),
  };
}

const unreadAnswers = () =>
  new HostError('rate-limited', 'the answers before this one have not been read', {
    rule: 'unread-answers',
    hint: 'read answers, and ask less at once',
  });

export type Peer = ReturnType<typeof createPeer>;
