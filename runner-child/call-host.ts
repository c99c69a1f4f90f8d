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
  const call = (method: string, params: unknown, { timeoutMs = callTimeoutMs, signal }: HostCallOptions) =>
    request(method, params ?? {}, { timeoutMs, ...(signal ? { signal } : {}) }).catch((thrown: unknown) => {
      const { code, message, details } = asHostError(thrown);
      throw createHostCallError(method, code, message, details);
    });
  const createNamespace = (namespace: string): object =>
    new Proxy(
      {},
      {
        get: (_target, verb) =>
          typeof verb === 'symbol' || verb === 'then' // awaiting a namespace must not become a call
            ? undefined
            : (params: unknown, options: HostCallOptions = {}) => call(`${namespace}.${verb}`, params, options),
      },
    );
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
