import { asHostError } from '../protocol/errors.ts';
import type { Host, HostCallOptions } from './define-plugin.ts';
import { createHostCallError } from './plugin-error.ts';

export type Request = (method: string, params: unknown, options: { timeoutMs: number; signal?: AbortSignal }) => Promise<unknown>;

/**
 * The plugin's typed client: `host.kv.get(params)` asks for `kv.get`. Methods come from the type alone, so that the table and its schemas
 * never load in a child; a name that the supervisor does not know is its to refuse.
 */
export function createHost(request: Request, callTimeoutMs: number): Host {
  const namespaces = new Map<string, object>();
  const usual = { timeoutMs: callTimeoutMs };

  /** One function for each method, however often it is called. */
  function createCall(method: string) {
    const fail = (thrown: unknown) => {
      const { code, message, details } = asHostError(thrown);
      throw createHostCallError(method, code, message, details);
    };
    return (params: unknown, options?: HostCallOptions) => request(method, params ?? {}, options ? settle(options) : usual).catch(fail);
  }

  const settle = ({ timeoutMs = callTimeoutMs, signal }: HostCallOptions) => (signal ? { timeoutMs, signal } : { timeoutMs });
  function createNamespace(namespace: string): object {
    const calls = new Map<string, ReturnType<typeof createCall>>();
    return new Proxy(
      {},
      {
        get(_target, verb) {
          if (typeof verb === 'symbol' || verb === 'then') return undefined; // awaiting a namespace must not become a call
          const known = calls.get(verb) ?? createCall(`${namespace}.${verb}`);
          calls.set(verb, known);
          return known;
        },
      },
    );
  }

  const host = new Proxy(
    {},
    {
      get(_target, name) {
        if (typeof name === 'symbol' || name === 'then') return undefined;
        const known = namespaces.get(name) ?? createNamespace(name);
        namespaces.set(name, known);
        return known;
      },
    },
  );
  return host as Host; // its members are made on demand, by the names that the type allows
}
