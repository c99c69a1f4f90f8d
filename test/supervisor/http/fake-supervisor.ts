import { HostError } from '../../../protocol/errors.ts';
import type {
  Actor,
  CallOptions,
  CallRequest,
  DoctorView,
  LogLine,
  PluginDetail,
  Supervisor,
  UpgradeView,
  VerificationView,
} from '../../../supervisor/plugin-view.ts';

export const sha = (digit: string) => digit.repeat(64);
const time = '2026-01-01T00:00:00.000Z';

export const sampleVerification: VerificationView = {
  trusted: true,
  key: '6CWkwJWLF5sZ9tDraM6TWGIv91+fSgXjfeUpX2gL2e8=',
  key_not_after: '2028-01-01T00:00:00.000Z',
  checks: [
    { name: 'manifest', says: 'the manifest is well formed', result: 'passed' },
    { name: 'signature', says: 'a valid key signed this manifest', result: 'passed' },
  ],
  fault: null,
};

export function samplePlugin(id: string, changes: Partial<PluginDetail> = {}): PluginDetail {
  return {
    id,
    name: 'Hello',
    type: 'system',
    form: 'v3',
    wire: 'json-rpc',
    version: '1.0.0',
    publisher: 'dev.local',
    unsigned: false,
    transferred_to: null,
    capabilities: ['kv:read', 'log:write', 'http:egress'],
    artifact_sha256: sha('a'),
    bundle_sha256: sha('b'),
    egress_set_by: 'manifest',
    available: true,
    refused: null,
    status: 'verified',
    upgrade: null,
    runtime: null,
    other_runtimes: [],
    verified_at: time,
    installed_at: null,
    activated_at: null,
    disabled_at: null,
    created_at: time,
    updated_at: time,
    engine: 'node',
    egress: ['api.example.com:443'],
    routes: [],
    read_buckets: ['default'],
    services: [
      {
        name: 'greeter',
        methods: [{ name: 'greet', effect: 'read', scopes: ['node:read'], timeout_ms: 5000, params: null, result: null }],
      },
    ],
    resources: { memory_mib: 128 },
    accepted_by: null,
    consents: [],
    rollback: null,
    verification: sampleVerification,
    upgrade_verification: null,
    rollback_verification: null,
    ...changes,
  };
}

/** An exchange with a bundle that asks for more. */
export function sampleUpgrade(changes: Partial<UpgradeView> = {}): UpgradeView {
  const none = { added: [], removed: [] };
  return {
    bundle_sha256: sha('d'),
    version: '2.0.0',
    publisher: 'dev.local',
    unsigned: false,
    change: 'upgrade',
    downgrade: false,
    capabilities: ['kv:read', 'task:run'],
    egress: [],
    egress_set_by: 'manifest',
    read_buckets: [],
    capabilities_added: ['task:run'],
    capabilities_removed: [],
    differences: {
      version: { from: '1.0.0', to: '2.0.0', change: 'upgrade' },
      capabilities: { added: ['task:run'], removed: [] },
      egress: none,
      routes: none,
      read_buckets: none,
      services: { ...none, changed: [] },
      resources: [],
      identity: [],
    },
    risk: { level: 'high', reasons: ['it could newly queue and cancel tasks that run on managed nodes (task:run, risk host)'] },
    ...changes,
  };
}

type Call = { request: CallRequest; actor: Actor; signal: AbortSignal; requestId: string; onProgress: CallOptions['onProgress'] };

/** A supervisor in memory: it keeps what it was asked, and does the least that the control plane and the CLI can tell from the real one. */
export function createFakeSupervisor() {
  const plugins = new Map(
    [samplePlugin('example.hello'), samplePlugin('example.world', { status: 'disabled', available: false })].map((plugin) => [
      plugin.id,
      plugin,
    ]),
  );
  const followers = new Set<(line: LogLine) => void>();
  const lines: LogLine[] = [];
  const configs = new Map<string, Record<string, unknown>>();
  const actors: Actor[] = [];
  const state = {
    plugins,
    followers,
    lines,
    actors,
    calls: [] as Call[],
    answerCall: async (call: Call): Promise<unknown> => ({ echo: call.request.payload }),
    health: { ready: true, reasons: [] as string[], plugins: { active: 1, armed: 1, failed: 0 } },
    log(text: string, run = 1) {
      const line: LogLine = { run, seq: lines.length + 1, time, source: 'plugin', level: 'info', text };
      lines.push(line);
      for (const tell of followers) tell(line);
    },
  };
  const find = (id: string): PluginDetail => {
    const found = plugins.get(id);
    if (!found) throw new HostError('not-found', `there is no plugin ${id.slice(0, 80)}`, { hint: 'lattice plugins list shows them' });
    return found;
  };
  const sameBundle = (shown: string | undefined, present: string) => {
    if (shown !== undefined && shown !== present)
      throw new HostError('changed-since-shown', 'the bundle is another one now', { hint: 'look again' });
  };

  const supervisor: Supervisor = {
    list: () => [...plugins.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    show: find,
    refused: () => [{ folder: 'broken', code: 'signature-invalid', detail: 'the signature does not fit' }],
    async setStatus({ id, status, bundleSha256 }, actor, safeguards) {
      find(id);
      safeguards?.guard?.();
      actors.push(actor);
      const plugin = find(id);
      if (status === 'verified' || (plugin.status === 'verified' && status !== 'installed')) {
        throw new HostError('invalid-transition', `${id} cannot go from ${plugin.status} to ${status}`, { hint: 'install it first' });
      }
      sameBundle(bundleSha256, plugin.bundle_sha256);
      const started = status === 'active' ? { activated_at: time } : {};
      plugins.set(id, { ...plugin, ...started, status, runtime: runtimeOf(id, status === 'active' ? 'armed' : 'stopped') });
      return find(id);
    },
    async upgrade({ id, bundleSha256 }, actor, safeguards) {
      find(id);
      safeguards?.guard?.();
      actors.push(actor);
      const { upgrade, ...plugin } = find(id);
      if (!upgrade) throw new HostError('conflict', `there is no upgrade of ${id}`);
      sameBundle(bundleSha256, upgrade.bundle_sha256);
      plugins.set(id, { ...plugin, upgrade: null, version: upgrade.version, bundle_sha256: upgrade.bundle_sha256 });
      return find(id);
    },
    async rollback({ id, bundleSha256 }, actor, safeguards) {
      find(id);
      safeguards?.guard?.();
      actors.push(actor);
      const { rollback, ...plugin } = find(id);
      if (!rollback) throw new HostError('conflict', `there is no former version of ${id}`);
      sameBundle(bundleSha256, rollback.bundle_sha256);
      plugins.set(id, { ...plugin, rollback: null, version: rollback.version, bundle_sha256: rollback.bundle_sha256 });
      return find(id);
    },
    async transfer({ id, publisher }, actor, safeguards) {
      find(id);
      safeguards?.guard?.();
      actors.push(actor);
      plugins.set(id, { ...find(id), transferred_to: publisher });
      return find(id);
    },
    async reset(id, actor, safeguards) {
      find(id);
      safeguards?.guard?.();
      actors.push(actor);
      return find(id);
    },
    async call(request, actor, { signal, requestId, onProgress }) {
      find(request.id);
      const call = { request, actor, signal, requestId, onProgress };
      state.calls.push(call);
      return state.answerCall(call);
    },
    why: (id) => ({
      id: find(id).id,
      status: find(id).status,
      state: 'failed',
      message: 'crashed 5 times in 10 minutes',
      uptime_ms: null,
      next_retry_at: null,
      last_host_call: 'kv.get',
      owed: { calls_open: 2, calls_given_up: 1, last_answer_ms: 14_000 },
      exits: [
        {
          generation: 3,
          started_at: time,
          ended_at: time,
          cause: 'crashed',
          code: 1,
          signal: null,
          detail: 'exit code 1',
          stderr_tail: ['boom'],
          last_host_call: 'kv.get',
          version: '1.0.0',
        },
      ],
      counters: { received: 2, late_answers: 0 },
    }),
    config: (id) => configs.get(find(id).id) ?? {},
    async setEgress(id, hosts, actor, safeguards) {
      find(id);
      safeguards?.guard?.();
      actors.push(actor);
      return samplePlugin(find(id).id, { egress: [...hosts], egress_set_by: 'operator' });
    },
    async setConfig(id, config, actor, safeguards) {
      find(id);
      safeguards?.guard?.();
      actors.push(actor);
      configs.set(find(id).id, config);
      return config;
    },
    async rescan(actor) {
      actors.push(actor);
      return { verified: plugins.size, refused: supervisor.refused() };
    },
    logs: {
      async read(id, { run, last }) {
        find(id);
        const runs = [...new Set(lines.map((line) => line.run))];
        const shown = run ?? runs.at(-1) ?? null;
        return { run: shown, runs, lines: lines.filter((line) => line.run === shown).slice(-last), dropped_bytes: 0 };
      },
      follow(id, onLine) {
        find(id);
        followers.add(onLine);
        return () => void followers.delete(onLine);
      },
    },
    health: () => state.health,
    stop: async () => {},
  };
  return { supervisor, ...state, state };
}

export type FakeSupervisor = ReturnType<typeof createFakeSupervisor>;

const runtimeOf = (id: string, state: 'armed' | 'stopped'): NonNullable<PluginDetail['runtime']> => ({
  plugin_id: id,
  state,
  runner: 'noop',
  sandbox: null,
  limits_not_enforced: [],
  generation: 1,
  pid: null,
  message: null,
  restarts: 0,
  next_retry_at: null,
  started_at: time,
  stopped_at: null,
  updated_at: time,
});

/** A doctor's view of a machine without bubblewrap. */
export const fakeDoctor: DoctorView = {
  version: '0.0.0-test',
  node: '26.0.0',
  uid: 1000,
  runner: 'subprocess',
  sandbox: {
    level: 'restricted',
    minimum: 'auto',
    probed: { times: 2, last_at: '2026-11-23T10:00:00.000Z', could_tell: false },
    layers: [
      { layer: 'namespaces', available: false, detail: 'bwrap is not installed', how_to_get: 'apt-get install bubblewrap' },
      { layer: 'node-permission', available: true, detail: 'held', how_to_get: '' },
    ],
  },
  waiting_children: { now: 1, asked: 2 },
  database: { state: 'ok', schema: 1 },
  audit_rows: 3,
  plugins: { active: 1, armed: 1, failed: 0 },
  refused: [],
};
