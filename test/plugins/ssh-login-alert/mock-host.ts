import { asHostError, HostError } from '../../../protocol/errors.ts';
import { type HostMethod, hostMethods } from '../../../protocol/host-methods.ts';
import type { Context } from '../../../runner-child/define-plugin.ts';
import { createHostCallError } from '../../../runner-child/plugin-error.ts';

export type Sent = { channel: string; title: string; text: string; severity?: string };
export type Store = { entries: Map<string, { value: string; revision: number }>; next: number };
/** `refused`: the call has no effect. `lost`: it has, but the answer does not come; both end the plugin's process in a crash test. */
export type Fault = 'refused' | 'lost';

export const createMemory = (): Store => ({ entries: new Map(), next: 1 });

/** A host in memory. It checks parameters with the table's own schemas. `fault` is asked before each call. */
export function createMockHost({
  memory = createMemory(),
  fault,
}: {
  memory?: Store;
  fault?: (method: HostMethod, call: number) => { kind: Fault; error: Error } | undefined;
} = {}) {
  const sent: Sent[] = [];
  const logged: { level?: string; message: string }[] = [];
  let calls = 0;

  const answers: Partial<Record<HostMethod, (params: never) => unknown>> = {
    'kv.get': ({ key }: { key: string }) => {
      const entry = memory.entries.get(key);
      return { value: entry?.value ?? null, revision: entry?.revision ?? 0 };
    },
    'kv.put': ({ key, value, if_revision }: { key: string; value: string; if_revision?: number }) => {
      const present = memory.entries.get(key)?.revision ?? 0;
      if (if_revision !== undefined && if_revision !== present) throw new HostError('conflict', 'changed meanwhile', { revision: present });
      const revision = memory.next++;
      memory.entries.set(key, { value, revision });
      return { revision };
    },
    'kv.delete': ({ key }: { key: string }) => ({ deleted: memory.entries.delete(key) }),
    'log.write': (line: { message: string }) => {
      logged.push(line);
      return {};
    },
    'notify.send': (message: Sent) => ({ id: `n-${sent.push(message)}` }),
  };

  async function call(method: HostMethod, raw: unknown): Promise<unknown> {
    const answer = answers[method];
    if (answer === undefined) throw new HostError('capability-denied', `${method} is not granted`);
    const params = hostMethods[method].params.safeParse(raw);
    if (!params.success) throw new HostError('invalid-params', params.error.message);
    const planned = fault?.(method, ++calls);
    if (planned?.kind === 'refused') throw planned.error;
    const result = answer(params.data as never); // the schema of the same row parsed it
    if (planned !== undefined) throw planned.error;
    return result;
  }

  /** As the runner hands errors on. */
  const callAsPlugin = (method: HostMethod, params: unknown) =>
    call(method, params).catch((thrown: unknown) => {
      const { code, message, details } = asHostError(thrown);
      throw createHostCallError(method, code, message, details);
    });
  const namespace = (name: string) =>
    new Proxy({}, { get: (_, verb) => (params: unknown) => callAsPlugin(`${name}.${String(verb)}` as HostMethod, params) });
  // Made from the table's names on demand, as the real client is.
  const host = { kv: namespace('kv'), log: namespace('log'), notify: namespace('notify') } as unknown as Context['host'];
  return { host, memory, sent, logged, calls: () => calls };
}

export const createContext = (host: Context['host'], config: Record<string, unknown> = {}): Context => ({
  host,
  plugin: { id: 'lattice.ssh-login-alert', name: 'SSH login alert', version: '1.0.0' },
  config,
  signal: new AbortController().signal,
  progress: () => {},
});
