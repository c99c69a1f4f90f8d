import { JSONRPCServer } from 'json-rpc-2.0';
import { asHostError, HostError, resultNotJson, toRpcError } from './errors.ts';
import type { MessageId } from './message.ts';
import { wireLimits } from './version.ts';

/** What a handler may know of the request it answers. */
export type RequestContext = {
  readonly id: MessageId;
  readonly signal: AbortSignal;
  /** What the signal says, without making one. */
  readonly aborted?: boolean;
  progress(value: unknown): void;
};
/** Gives a result or the promise of one: what is at hand need not wait for a round of promises. */
export type HandleRequest = (method: string, params: unknown, context: RequestContext) => unknown;

type Deps = {
  handle: HandleRequest;
  counters: { refused_in_flight: number };
  send(message: object): boolean;
  uncounted: ReadonlySet<string>; // methods that run beside the 64
  onExceeded(): void;
};
type Running = RequestContext & { abort(reason: HostError): void };

/** Requests of the other end: at most 64 run at once; one more is answered `rate-limited` at once and does not run. */
export function createIncoming({ handle, counters, send, uncounted, onExceeded }: Deps) {
  const running = new Map<MessageId, Running>();
  let refusedInARow = 0;
  const server = new JSONRPCServer<Running>({ errorListener: () => {} }); // the default prints to the console
  // All methods go through one door, so that a method nobody knows is decided and recorded like any other.
  server.applyMiddleware(async (_next, request, context) => {
    const result = await handle(request.method, request.params, context);
    if (!isJson(result)) throw new HostError('internal', resultNotJson);
    return { jsonrpc: '2.0', id: request.id ?? null, result: result ?? null };
  });
  server.mapErrorToJSONRPCErrorResponse = (id, error) => ({ jsonrpc: '2.0', id, error: toRpcError(error) });

  const isJson = (result: unknown) => typeof result !== 'function' && typeof result !== 'symbol';

  /**
   * The usual call, an id and params by name, goes straight to the door; json-rpc-2.0 would cost as much as all the rest of the way. No
   * function is made here: one that holds on to a variable would cost each call a place for all of them.
   */
  function runNamed(id: MessageId, method: string, params: object, context: Running): void {
    let result: unknown;
    try {
      result = handle(method, params, context);
    } catch (thrown) {
      return answer(id, fail(id, thrown));
    }
    if (result instanceof Promise) waitFor(id, result, context);
    else answer(id, succeed(id, result));
  }

  function waitFor(id: MessageId, result: Promise<unknown>, context: Running): void {
    running.set(id, context);
    result.then(
      (value) => settle(id, succeed(id, value)),
      (thrown: unknown) => settle(id, fail(id, thrown)),
    );
  }

  function runByPosition(id: MessageId, method: string, params: unknown, context: Running): void {
    running.set(id, context);
    server.receive({ jsonrpc: '2.0', id, method, params }, context).then(
      (response) => settle(id, response),
      (thrown: unknown) => settle(id, fail(id, thrown)),
    );
  }

  const fail = (id: MessageId, thrown: unknown): object => ({ jsonrpc: '2.0', id, error: toRpcError(thrown) });
  const succeed = (id: MessageId, result: unknown): object =>
    isJson(result) ? { jsonrpc: '2.0', id, result: result ?? null } : fail(id, new HostError('internal', resultNotJson));

  const answerError = (id: MessageId, error: unknown) => send(fail(id, error));

  function settle(id: MessageId, response: object | null): void {
    if (running.delete(id)) answer(id, response); // else closed meanwhile
  }

  function answer(id: MessageId, response: object | null): void {
    try {
      if (response && send(response)) return;
    } catch {
      return void answerError(id, new HostError('internal', resultNotJson)); // a cycle, or a BigInt
    }
    answerError(
      id,
      new HostError('payload-too-large', `the answer is over ${wireLimits.lineBytes} bytes`, {
        hint: 'answer less at once: a page, or what fits',
      }),
    );
  }

  return {
    /** False when the id is in flight already. */
    accept(id: MessageId, method: string, params: unknown): boolean {
      if (running.has(id)) return false;
      if (running.size >= wireLimits.inFlight && !uncounted.has(method)) {
        counters.refused_in_flight++;
        answerError(
          id,
          new HostError('rate-limited', `over ${wireLimits.inFlight} requests in flight`, {
            rule: 'in-flight',
            hint: 'wait for answers before asking more',
          }),
        );
        if (++refusedInARow >= wireLimits.rateLimitedInARow) onExceeded();
        return true;
      }
      refusedInARow = 0;
      const context = new Context(id, send);
      if (typeof params === 'object' && params !== null && !Array.isArray(params)) {
        runNamed(id, method, params, context);
        return true;
      }
      runByPosition(id, method, params, context);
      return true;
    },
    cancel(id: unknown): void {
      running.get(id as MessageId)?.abort(new HostError('cancelled', 'the caller cancelled the request')); // an id of another type finds nothing
    },
    close(reason: HostError): void {
      for (const context of running.values()) context.abort(asHostError(reason));
      running.clear();
    },
    size: () => running.size,
  };
}

/**
 * Most handlers never look at the signal: it is made when asked for. A class, because one is made for each request, and an object with a getter of
 * its own costs ten times as much.
 */
class Context implements Running {
  readonly id: MessageId;
  readonly #send: Deps['send'];
  #controller: AbortController | null = null;
  #reason: HostError | null = null;

  constructor(id: MessageId, send: Deps['send']) {
    this.id = id;
    this.#send = send;
  }
  get aborted(): boolean {
    return this.#reason !== null;
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }
  abort(reason: HostError): void {
    this.#reason ??= reason;
    this.#controller?.abort(this.#reason);
  }
  progress(value: unknown): void {
    this.#send({ jsonrpc: '2.0', method: '$/progress', params: { id: this.id, value: value ?? null } });
  }
}
