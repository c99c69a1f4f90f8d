import type { HostMethod, Params, Result } from '../protocol/host-methods.ts';

type Namespace = HostMethod extends infer M ? (M extends `${infer N}.${string}` ? N : never) : never;

/** What a plugin may ask the supervisor: `host.kv.get({ key })`, one function per host method. Each rejects with a HostCallError. */
export type Host = {
  readonly [N in Namespace]: {
    readonly [M in HostMethod as M extends `${N}.${infer Verb}` ? Verb : never]: (
      params: Params<M>,
      options?: HostCallOptions,
    ) => Promise<Result<M>>;
  };
};
export type HostCallOptions = { timeoutMs?: number; signal?: AbortSignal };

export type Context = {
  readonly host: Host;
  readonly plugin: { readonly id: string; readonly name: string; readonly version: string };
  /** What the operator set with `lattice plugins config set`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Aborted when the caller gives up, when its deadline passes, and at shutdown. */
  readonly signal: AbortSignal;
  /** Tells the caller how far this call has come. */
  progress(value: unknown): void;
};

export type ServiceMethod = (payload: unknown, context: Context) => unknown;
export type RouteRequest = { method: string; path: string; query: string; headers: Readonly<Record<string, string>>; body: string | null };
export type RouteAnswer = { status: number; headers?: Record<string, string>; body?: string };

export type Plugin = {
  /** Service name -> method name -> function; the manifest's `services` must declare each one that is to be callable. */
  readonly services?: Readonly<Record<string, Readonly<Record<string, ServiceMethod>>>>;
  /** Answers requests under the plugin's own path; needs the capability worker:route. */
  readonly routes?: (request: RouteRequest, context: Context) => RouteAnswer | Promise<RouteAnswer>;
  /** Runs before the plugin counts as ready. Host calls are refused until it has returned. */
  readonly onStart?: (context: Omit<Context, 'host' | 'progress'>) => void | Promise<void>;
  /** Runs when the plugin is about to be stopped; only kv and log calls are answered, for 2 seconds at most. */
  readonly onShutdown?: (context: Omit<Context, 'progress'>) => void | Promise<void>;
};

/** The one thing a plugin's main file exports: `export default definePlugin({ … })`. */
export const definePlugin = <P extends Plugin>(plugin: P): P => plugin;
