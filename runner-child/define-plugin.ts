import type { Capability } from '../protocol/capabilities.ts';
import type { HostMethod, hostMethods, Params, Result } from '../protocol/host-methods.ts';

// The one re-export of the project: a plugin imports everything it needs from this file.
export {
  CancelledError,
  CapabilityDeniedError,
  ConfigurationError,
  ConflictError,
  DeadlineExceededError,
  EgressBlockedError,
  HostCallError,
  PluginError,
  QuotaExceededError,
  RateLimitedError,
} from './plugin-error.ts';

type MethodOf<C extends Capability> = { [M in HostMethod]: (typeof hostMethods)[M]['capability'] extends C ? M : never }[HostMethod];
type NamespaceOf<M extends HostMethod> = M extends `${infer N}.${string}` ? N : never;

/** What a plugin with these capabilities may ask: `host.kv.get({ key })`, one function per host method. Each rejects with a HostCallError. */
export type Host<C extends Capability = Capability> = {
  readonly [N in NamespaceOf<MethodOf<C>>]: {
    readonly [M in MethodOf<C> as M extends `${N}.${infer Verb}` ? Verb : never]: (
      params: Params<M>,
      options?: HostCallOptions,
    ) => Promise<Result<M>>;
  };
};
export type HostCallOptions = { timeoutMs?: number; signal?: AbortSignal };

export type Context<C extends Capability = Capability> = {
  readonly host: Host<C>;
  readonly plugin: { readonly id: string; readonly name: string; readonly version: string };
  /** What the operator set with `lattice plugins config set`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Aborted when the caller gives up, when its deadline passes, and at shutdown. */
  readonly signal: AbortSignal;
  /** Tells the caller how far this call has come. */
  progress(value: unknown): void;
};
/** The same without a caller. */
export type OwnContext<C extends Capability = Capability> = Omit<Context<C>, 'progress'>;

export type ServiceMethod<C extends Capability = Capability> = (payload: unknown, context: Context<C>) => unknown;
export type RouteRequest = { method: string; path: string; query: string; headers: Readonly<Record<string, string>>; body: string | null };
export type RouteAnswer = { status: number; headers?: Record<string, string>; body?: string };

/** Work without a caller: begins when the plugin is ready; its signal is aborted at shutdown. */
export type BackgroundTask<C extends Capability = Capability> = {
  /** Again so long after each end, never twice at once. Without it the task runs once. */
  readonly everyMs?: number;
  readonly run: (context: OwnContext<C>) => unknown;
};

export type Plugin<C extends Capability = Capability> = {
  /** Service name -> method name -> function; the manifest's `services` must declare each one that is to be callable. */
  readonly services?: Readonly<Record<string, Readonly<Record<string, ServiceMethod<C>>>>>;
  /** Answers requests under the plugin's own path; needs the capability worker:route. */
  readonly routes?: (request: RouteRequest, context: Context<C>) => RouteAnswer | Promise<RouteAnswer>;
  /** Runs before the plugin counts as ready. Host calls are refused until it has returned. A ConfigurationError is not tried again. */
  readonly onStart?: (context: Omit<OwnContext<C>, 'host'>) => void | Promise<void>;
  /** Tasks by name, which is how their faults stand in the log. A fault ends that run of the task, not the plugin. */
  readonly background?: Readonly<Record<string, BackgroundTask<C>>>;
  /** Asked at each ping. Throwing three times in a row has the plugin replaced. */
  readonly health?: (context: OwnContext<C>) => unknown;
  /** Runs when the plugin is about to be stopped; only kv and log calls are answered, for 2 seconds at most. */
  readonly onShutdown?: (context: OwnContext<C>) => void | Promise<void>;
};

/** What of the manifest the types and the runner look at. A JSON import works too, but gives texts: then every method type-checks. */
export type DeclaredManifest<C extends string = string> = { readonly capabilities: readonly C[] };
type Known<C extends string> = string extends C ? Capability : Extract<C, Capability>;

/** The one thing a plugin's main file exports. With the manifest first, only what its capabilities allow type-checks. */
export function definePlugin<P extends Plugin>(plugin: P): P;
export function definePlugin<const C extends string, P extends Plugin<Known<C>>>(
  manifest: DeclaredManifest<C>,
  plugin: P,
): P & { readonly manifest: DeclaredManifest<C> };
export function definePlugin(first: Plugin | DeclaredManifest, second?: Plugin): object {
  return second === undefined ? first : { ...second, manifest: first };
}
