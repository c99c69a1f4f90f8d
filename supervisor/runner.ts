import type { Readable, Writable } from 'node:stream';
import type { Resources } from '../protocol/manifest.ts';
import type { InvokeBudget, Manifest } from '../protocol/manifest-form.ts';
import type { Dispatch, Grant } from './broker.ts';
import type { BundleFile } from './loaded-bundle.ts';
import type { SandboxView } from './plugin-view.ts';
import type { Cause } from './restart-policy.ts';

/** Everything a runner needs to start one generation of one plugin; nothing in it is read from the bundle's folder. */
export type Launch = {
  plugin: { id: string; name: string; version: string };
  engine: 'node' | 'native' | 'template' | 'quickjs' | 'wasm';
  wire: Manifest['wire'];
  hostRisk: boolean;
  generation: number;
  grant: Grant;
  services: Readonly<Record<string, readonly string[]>>;
  config: Readonly<Record<string, unknown>>;
  resources: Resources;
  artifact: Buffer; // the bytes whose SHA-256 the accepted manifest pins
  artifactSha256: string;
  entryPath: string; // of the artifact inside its bundle
  files: readonly BundleFile[]; // of an unpacked archive: every one, the entry included
  budgets: Readonly<Record<string, InvokeBudget>>; // by `service method`, where the manifest states one
};

/** No name of a service or a method holds a space. */
export const budgetKey = (service: string, method: string): string => `${service} ${method}`;

export type Exit = {
  cause: Cause;
  code: number | null;
  signal: string | null;
  detail: string;
  /** What it printed last, where not all of it came through as output. */
  lastLines?: readonly string[];
};

/** The two streams that the protocol runs on, as the supervisor sees them, and the end of what is behind them. */
export type ChildWire = { input: Readable; output: Writable; kill(): void };

/** What a runner reports. `exited` comes exactly once, last, and means that nothing of this generation runs any more. */
export type RunEvents = {
  ready(): void;
  violated(rule: string, detail: string): void;
  output(source: 'stderr' | 'stray', text: string): void;
  /** One of the processes of a generation that has a process for each action ended badly; the generation itself goes on. */
  crashed(exit: Exit): void;
  exited(exit: Exit): void;
  /** Puts something between the two ends: what a developer records, or a fault on trial. Nobody does so in the service. */
  interpose?(wire: ChildWire): Pick<ChildWire, 'input' | 'output'>;
};

export type InvokeOptions = { timeoutMs: number; signal?: AbortSignal; onProgress?: (value: unknown) => void };

/** One generation of one plugin while it runs. None of these throws; after the exit they do nothing. */
export type Run = {
  readonly pid: number | null;
  readonly sandbox: string;
  readonly limitsNotEnforced: readonly string[];
  invoke(service: string, method: string, payload: unknown, options: InvokeOptions): Promise<unknown>;
  ping(): Promise<unknown>;
  shutdown(): Promise<unknown>;
  terminate(): void; // closes its input and asks it to end
  kill(): void; // ends it and everything it started
  counters(): Record<string, number>;
};

/** Starts a generation. A throw means that nothing was started: a HostError `sandbox-unavailable` is final, anything else is a crash. */
export type Runner = {
  readonly name: string;
  /** What holds its children; null for a runner without processes. Asked again, it answers what the last probe found. */
  sandbox(): SandboxView | null;
  /** The children that were made for no plugin yet, and how many are asked for; null for a runner that makes none. */
  waiting(): { now: number; asked: number } | null;
  start(launch: Launch, dispatch: Dispatch, events: RunEvents): Promise<Run>;
  /** Ends what runs for no plugin yet. */
  close(): Promise<void>;
};

/** What a listing calls the runner of a plugin: the one word, and how its processes speak where that is not our own protocol. */
export const describeRunner = (name: string, wire: Launch['wire']): string =>
  wire === 'json-rpc' || name !== 'subprocess' ? name : `${name} (${wire})`;
