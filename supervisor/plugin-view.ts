import type { Capability } from '../protocol/capabilities.ts';
import type { ManifestForm } from '../protocol/manifest-form.ts';
import type { PayloadSchema } from '../protocol/payload-schema.ts';
import type { Differences, VersionChange } from './bundle-difference.ts';
import type { Status } from './plugin-lifecycle.ts';
import type { ConsentKind } from './plugin-store.ts';
import type { PublicState } from './runtime-states.ts';
import type { Safeguards } from './safeguards.ts';
import type { RiskLevel, RiskStatement } from './upgrade-risk.ts';

/** What an operator and the public dashboard see of a running (or stopped) plugin. Never a path. */
export type RuntimeView = {
  plugin_id: string;
  state: PublicState;
  runner: string; // `noop`, `subprocess`, `subprocess (stdio-json-v1)`
  sandbox: string | null; // the level in force, null while there is no child
  limits_not_enforced: string[];
  generation: number | null;
  pid: number | null;
  message: string | null; // why it is in this state, when that needs saying
  restarts: number; // crashes that count against the restart intensity
  next_retry_at: string | null;
  started_at: string | null;
  stopped_at: string | null;
  updated_at: string;
};

/** A second runtime while one bundle replaces another. */
export type OtherRuntimeView = Pick<RuntimeView, 'state' | 'generation' | 'pid' | 'sandbox' | 'started_at'> & {
  role: 'incoming' | 'outgoing';
  version: string;
};

/** A bundle that could replace the accepted one, what it may do, and what changes with it. */
export type UpgradeView = {
  bundle_sha256: string;
  version: string;
  publisher: string;
  unsigned: boolean;
  change: VersionChange;
  downgrade: boolean;
  capabilities: string[];
  egress: string[]; // the hosts it could reach
  egress_set_by: 'manifest' | 'operator';
  read_buckets: string[];
  capabilities_added: Capability[];
  capabilities_removed: Capability[];
  differences: Differences;
  risk: RiskStatement;
};

/** Why a bundle is trusted, or is not. */
export type VerificationView = {
  trusted: boolean;
  key: string | null; // base64, the publisher's key that made the signature
  key_not_after: string | null;
  checks: { name: string; says: string; result: 'passed' | 'failed' | 'not-checked' }[];
  fault: { code: string; detail: string } | null;
};

export type ConsentView = {
  time: string;
  kind: ConsentKind;
  actor: string | null; // the id of the token
  publisher: string;
  version: string;
  bundle_sha256: string;
  capabilities: string[];
  egress: string[];
};

export type PluginView = {
  id: string;
  name: string;
  type: string;
  form: ManifestForm;
  wire: string; // `json-rpc`, `stdio-json-v1`
  version: string;
  publisher: string;
  unsigned: boolean;
  transferred_to: string | null; // whose the id is now, when that is not who signed the accepted bundle
  capabilities: Capability[];
  artifact_sha256: string;
  bundle_sha256: string;
  egress: string[]; // the hosts it may reach
  egress_set_by: 'manifest' | 'operator';
  available: boolean; // a verified bundle of this id and publisher is on disk
  refused: RefusedBundle | null; // why the bundle of this id that is on disk does not count
  status: Status;
  upgrade: UpgradeView | null;
  runtime: RuntimeView | null; // null for a bundle that is only verified
  other_runtimes: OtherRuntimeView[];
  verified_at: string | null;
  installed_at: string | null;
  activated_at: string | null;
  disabled_at: string | null;
  created_at: string | null;
  updated_at: string | null;
};

/** What a list shows of each. */
export type PluginBrief = Pick<
  PluginView,
  | 'id'
  | 'name'
  | 'type'
  | 'version'
  | 'publisher'
  | 'capabilities'
  | 'status'
  | 'unsigned'
  | 'form'
  | 'wire'
  | 'available'
  | 'refused'
  | 'transferred_to'
> & {
  active: boolean;
  upgrade: { version: string; change: VersionChange; risk: RiskLevel } | null;
  state: PublicState | null;
  runner: string | null;
  sandbox: string | null;
  message: string | null;
  other_runtimes: OtherRuntimeView[];
};

/** `params`, `result`: the schema that the manifest declares, null where it declares none. */
export type MethodView = {
  name: string;
  effect: string;
  scopes: string[];
  timeout_ms: number;
  params: PayloadSchema | null;
  result: PayloadSchema | null;
};

/** More about one plugin: what it declares. */
export type PluginDetail = PluginView & {
  engine: string;
  routes: { path: string; methods: string[] }[];
  read_buckets: string[];
  services: { name: string; methods: MethodView[] }[];
  resources: Record<string, number>;
  accepted_by: string | null;
  consents: ConsentView[]; // the newest first, at most 50
  rollback: UpgradeView | null; // what `rollback` would return to
  verification: VerificationView; // of the bundle shown
  upgrade_verification: VerificationView | null;
  rollback_verification: VerificationView | null; // by the present trust policy
};

/** What the probe found: the level in force at most, the operator's minimum, and each layer with how to get it. */
export type SandboxView = {
  level: string;
  minimum: string;
  /** How often since the service started, and whether the last time something that may pass kept it from telling. */
  probed?: { times: number; last_at: string; could_tell: boolean };
  layers: { layer: string; available: boolean; detail: string; how_to_get: string }[];
};

/** Whether there is a database to work on, and whether it can be written; in safe mode why not, and under which name it was kept. Never a path. */
export type DatabaseView =
  | { state: 'ok'; schema: number }
  | { state: 'unwritable'; schema: number; since: string; rule: string; detail: string; hint: string }
  | { state: 'safe-mode'; since: string; rule: string; detail: string; set_aside: string | null; hint: string };

/** What a doctor looks at. */
export type DoctorView = {
  version: string;
  node: string;
  uid: number;
  runner: string;
  sandbox: SandboxView | null;
  waiting_children: { now: number; asked: number } | null; // null: the runner makes none
  database: DatabaseView;
  audit_rows: number;
  plugins: { active: number; armed: number; failed: number };
  refused: RefusedBundle[];
};

/** `id`: as its manifest says, where that can be read. */
export type RefusedBundle = { folder: string; id?: string | undefined; code: string; detail: string };

export type ExitView = {
  generation: number;
  started_at: string;
  ended_at: string;
  cause: string;
  code: number | null;
  signal: string | null;
  detail: string;
  stderr_tail: string[];
  last_host_call: string | null;
  version: string | null;
};

export type WhyView = {
  id: string;
  status: Status;
  state: PublicState;
  message: string | null;
  uptime_ms: number | null;
  next_retry_at: string | null;
  last_host_call: string | null;
  /** What it owes its callers, and how long it has answered nothing, not even a ping; null when nothing is owed. */
  owed: { calls_open: number; calls_given_up: number; last_answer_ms: number } | null;
  exits: ExitView[]; // newest first, at most 20
  counters: Record<string, number>;
};

export type LogLine = {
  run: number;
  seq: number;
  time: string;
  source: 'plugin' | 'stderr' | 'stray' | 'supervisor';
  level: string;
  text: string;
};

export type CallOptions = { signal: AbortSignal; requestId: string; onProgress?: ((value: unknown) => void) | undefined };
export type CallRequest = { id: string; service: string; method: string; payload: unknown };
export type Actor = { id: string; scopes: readonly string[]; plugin: string | null };

/** What the control plane asks of the supervisor. Every refusal is a HostError. */
export type Supervisor = {
  list(): PluginView[]; // sorted by id; records whose bundle is gone, and bundles without a record, included
  show(id: string): PluginDetail; // not-found
  refused(): RefusedBundle[];
  setStatus(
    request: { id: string; status: Status; bundleSha256?: string; egress?: readonly string[] },
    actor: Actor,
    safeguards?: Safeguards,
  ): Promise<PluginView>;
  upgrade(request: { id: string; bundleSha256?: string }, actor: Actor, safeguards?: Safeguards): Promise<PluginView>;
  rollback(request: { id: string; bundleSha256?: string }, actor: Actor, safeguards?: Safeguards): Promise<PluginView>;
  transfer(request: { id: string; publisher: string }, actor: Actor, safeguards?: Safeguards): Promise<PluginView>;
  reset(id: string, actor: Actor, safeguards?: Safeguards): Promise<PluginView>;
  call(request: CallRequest, actor: Actor, options: CallOptions): Promise<unknown>; // scopes are checked here
  why(id: string): WhyView;
  config(id: string): Record<string, unknown>;
  /** Restarts an active plugin, as the next one does. */
  setConfig(id: string, config: Record<string, unknown>, actor: Actor, safeguards?: Safeguards): Promise<Record<string, unknown>>;
  setEgress(id: string, hosts: readonly string[], actor: Actor, safeguards?: Safeguards): Promise<PluginView>;
  rescan(actor: Actor): Promise<{ verified: number; refused: RefusedBundle[] }>;
  logs: {
    read(
      id: string,
      options: { run?: number; last: number },
    ): Promise<{ run: number | null; runs: number[]; lines: LogLine[]; dropped_bytes: number }>;
    follow(id: string, onLine: (line: LogLine) => void): () => void; // returns unsubscribe
  };
  health(): { ready: boolean; reasons: string[]; plugins: { active: number; armed: number; failed: number } };
  stop(): Promise<void>;
};
