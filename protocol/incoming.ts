import { JSONRPCServer } from 'json-rpc-2.0';
import { asHostError, HostError, toRpcError } from './errors.ts';
import type { MessageId } from './message.ts';
import { wireLimits } from './version.ts';

/** What a handler may know of the request it answers. */
export type RequestContext = { readonly id: MessageId; readonly signal: AbortSignal; progress(value: unknown): void };
export type HandleRequest = (method: string, params: unknown, context: RequestContext) => Promise<unknown>;

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
    if (typeof result === 'function' || typeof result === 'symbol') throw new HostError('internal', 'the result is not JSON');
    return { jsonrpc: '2.0', id: request.id ?? null, result: result ?? null };
  });
  server.mapErrorToJSONRPCErrorResponse = (id, error) => ({ jsonrpc: '2.0', id, error: toRpcError(error) });

  const answerError = (id: MessageId, error: unknown) => send({ jsonrpc: '2.0', id, error: toRpcError(error) });

  function answer(id: MessageId, response: object | null): void {
    if (!running.delete(id)) return; // closed meanwhile
    try {
      if (response && send(response)) return;
    } catch {
      return void answerError(id, new HostError('internal', 'the result is not JSON')); // a cycle, or a BigInt
    }
    answerError(id, new HostError('payload-too-large', `the answer is over ${wireLimits.lineBytes} bytes`));
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
      const context = createContext(id, send);
      running.set(id, context);
      server.receive({ jsonrpc: '2.0', id, method, params }, context).then(
        (response) => answer(id, response),
        (thrown: unknown) => answer(id, { jsonrpc: '2.0', id, error: toRpcError(thrown) }),
      );
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

/** Most handlers never look at the signal: it is made when asked for. */
function createContext(id: MessageId, send: Deps['send']): Running {
  let controller: AbortController | null = null;
  let aborted: HostError | null = null;
  return {
    id,
    get signal() {
      controller ??= new AbortController();
      if (aborted) controller.abort(aborted);
      return controller.signal;
    },
    abort(reason) {
      aborted ??= reason;
      controller?.abort(aborted);
    },
    progress: (value) => void send({ jsonrpc: '2.0', method: '$/progress', params: { id, value } }),
  };
}
