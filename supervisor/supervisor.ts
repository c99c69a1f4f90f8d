import { HostError } from '../protocol/errors.ts';
import { parseManifest } from '../protocol/manifest.ts';
import type { AuditEntry } from './audit.ts';
import { createBroker, type HostHandlers } from './broker.ts';
import type { BundleStore, VerifiedBundle } from './bundle-store.ts';
import { checkCallScopes, findMethod } from './call-scopes.ts';
import type { Clock } from './clock.ts';
import { createKeyedQueue } from './keyed-queue.ts';
import { createLaunch } from './launch-plugin.ts';
import type { Log } from './log.ts';
import { defaultInvokeTimeoutMs, manifestOf, type PluginEntry, statusOf, viewPlugin, viewPluginDetail } from './plugin-entry.ts';
import { decideTransition, type Status } from './plugin-lifecycle.ts';
import type { PluginLogs } from './plugin-logs.ts';
import type { AcceptedBundle, PluginRecord, PluginStore } from './plugin-store.ts';
import type { Actor, CallRequest, PluginView, RefusedBundle, Supervisor } from './plugin-view.ts';
import type { Policy } from './policy.ts';
import { createRateLimiter } from './rate-limiter.ts';
import type { Runner } from './runner.ts';
import { createRuntime } from './runtime.ts';

export type SupervisorDeps = {
  bundles: BundleStore;
  store: PluginStore;
  runner: Runner;
  handlers: HostHandlers;
  append(entry: AuditEntry): Promise<void>;
  appendDenial(entry: AuditEntry, key: string): void;
  policy: Policy;
  logs: PluginLogs;
  clock: Clock;
  log: Log;
  random(): number;
};

/** All plugins: what is on disk, what was accepted, what is wanted, what runs; and every change an operator may ask for, one at a time per plugin. */
export function createSupervisor(deps: SupervisorDeps): Supervisor & { start(): Promise<void> } {
  const { bundles, store, clock, log } = deps;
  const entries = new Map<string, PluginEntry>();
  const queue = createKeyedQueue();
  let refused: RefusedBundle[] = [];
  let stopping = false;

  function find(id: string): PluginEntry {
    const entry = entries.get(id);
    if (!entry)
      throw new HostError('not-found', `there is no plugin ${id.slice(0, 80)}`, { hint: 'list what there is: lattice plugins list' });
    return entry;
  }

  function findAccepted(id: string): NonNullable<PluginEntry['accepted']> {
    const { accepted } = find(id);
    if (!accepted)
      throw new HostError('invalid-transition', `${id} is not installed`, { hint: `install it first: lattice plugins install ${id}` });
    return accepted;
  }

  /** Puts a record, with a runtime of its own, into the entry; an existing runtime stays, since a process may hang on it. */
  function adopt(record: PluginRecord): NonNullable<PluginEntry['accepted']> {
    const parsed = parseManifest(Buffer.from(record.manifest, 'utf8'));
    if (!parsed.ok)
      throw new HostError('storage-unavailable', `the record of ${record.id} holds a manifest that is not one`, {
        rule: parsed.fault.code,
      });
    const entry = entries.get(record.id) ?? { id: record.id, bundle: null, accepted: null };
    entries.set(record.id, entry);
    if (entry.accepted) {
      entry.accepted.record = record;
      entry.accepted.manifest = parsed.manifest;
      return entry.accepted;
    }
    const pluginLog = deps.logs.of(record.id);
    const callers = new Map<string, number>();
    const rates = {
      read: createRateLimiter(deps.policy.rates.read, clock.monotonicMs),
      effect: createRateLimiter(deps.policy.rates.effect, clock.monotonicMs),
      fetch: createRateLimiter(deps.policy.rates.fetch, clock.monotonicMs),
      notify: createRateLimiter(deps.policy.rates.notify, clock.monotonicMs),
      log: createRateLimiter(deps.policy.rates.log, clock.monotonicMs),
    };
    const runtime = createRuntime({
      id: record.id,
      runner: deps.runner,
      clock,
      log,
      random: deps.random,
      health: record.health,
      saveHealth: (health) => store.saveHealth(record.id, health),
      nextGeneration: () => store.nextGeneration(record.id),
      prepare: async (generation) => {
        const { accepted } = find(record.id);
        if (!accepted) throw new HostError('unavailable', `${record.id} is not installed`);
        return createLaunch(await bundles.load(accepted.record.bundleSha256), generation, accepted.record.config, deps.policy.ceilings);
      },
      createDispatch: (launch, askable) =>
        createBroker({
          grant: launch.grant,
          generation: launch.generation,
          askable,
          actor: () => [...callers.keys()].sort().slice(0, 4).join(',') || null,
          handlers: deps.handlers,
          rates,
          append: deps.append,
          appendDenial: deps.appendDenial,
          clock,
        }),
      append: deps.append,
      onOutput: (generation, source, text) => pluginLog.write(generation, source, source === 'supervisor' ? 'warn' : 'info', text),
    });
    entry.accepted = { record, manifest: parsed.manifest, runtime, log: pluginLog, callers };
    return entry.accepted;
  }

  /** Takes what a scan found: bundles by id, unless the id belongs to another publisher. */
  function takeScan(scan: { verified: ReadonlyMap<string, VerifiedBundle>; refused: RefusedBundle[] }): void {
    const conflicts: RefusedBundle[] = [];
    for (const entry of entries.values()) entry.bundle = null;
    for (const [id, bundle] of scan.verified) {
      const entry = entries.get(id) ?? { id, bundle: null, accepted: null };
      const owner = entry.accepted?.record.publisher;
      if (owner !== undefined && owner !== bundle.manifest.publisher) {
        conflicts.push({
          folder: id,
          code: 'publisher-conflict',
          detail: `${id} belongs to publisher ${owner}; this bundle is signed by ${bundle.manifest.publisher}`,
        });
        continue;
      }
      entry.bundle = bundle;
      entries.set(id, entry);
    }
    for (const [id, entry] of entries) if (!entry.bundle && !entry.accepted) entries.delete(id);
    refused = [...scan.refused, ...conflicts];
    for (const bundle of refused) log.warn('bundle.refused', { ...bundle });
  }

  async function rescan(): Promise<{ verified: number; refused: RefusedBundle[] }> {
    await bundles.reloadPolicy();
    const scan = await bundles.scan();
    takeScan(scan);
    for (const { accepted } of entries.values()) {
      const fault = accepted ? bundles.judge(accepted.record.manifest, accepted.record.artifactSha256) : null;
      if (accepted && fault) accepted.runtime.condemn('trust-lost', `${fault.code}: ${fault.detail}`);
    }
    await bundles.collect(
      new Set(
        [...entries.values()].flatMap(({ bundle, accepted }) =>
          [bundle?.bundleSha256, accepted?.record.bundleSha256].filter((sha) => sha !== undefined),
        ),
      ),
    );
    return { verified: scan.verified.size, refused };
  }

  function requireAvailable(entry: PluginEntry): VerifiedBundle {
    if (entry.bundle) return entry.bundle;
    throw new HostError('conflict', `no verified bundle of ${entry.id} is on disk`, {
      rule: 'not-available',
      hint: 'put the bundle back and rescan: lattice plugins rescan',
    });
  }

  function requireShown(shown: string | undefined, present: string, id: string): void {
    if (shown === undefined || shown === present) return;
    throw new HostError('changed-since-shown', `${id} is not the bundle that was shown`, {
      bundle_sha256: present,
      hint: `look again: lattice plugins show ${id}`,
    });
  }

  async function install(entry: PluginEntry, shown: string | undefined, actor: Actor): Promise<void> {
    const bundle = requireAvailable(entry);
    requireShown(shown, bundle.bundleSha256, entry.id);
    adopt(await store.accept(asAccepted(bundle), actor.id));
  }

  /** Records what is wanted, arms, and takes it back to `disabled`, with the reason, when that fails. */
  async function activate(entry: PluginEntry, shown: string | undefined, actor: Actor): Promise<void> {
    requireAvailable(entry);
    const accepted = findAccepted(entry.id);
    requireShown(shown, accepted.record.bundleSha256, entry.id);
    accepted.record = await store.setStatus(entry.id, 'active', { actor: actor.id });
    const armed = await accepted.runtime.arm();
    if (armed.ok || stopping) return;
    await accepted.runtime.stop();
    accepted.record = await store.setStatus(entry.id, 'disabled', { actor: actor.id, reason: armed.cause });
    const code =
      armed.cause === 'sandbox-unavailable' ? 'sandbox-unavailable' : armed.cause === 'trust-lost' ? 'verification-failed' : 'unavailable';
    throw new HostError(code, `${entry.id} could not be armed and is disabled: ${armed.message}`, {
      rule: armed.cause,
      hint: `see its last lines: lattice plugins why ${entry.id}`,
    });
  }

  async function disable(entry: PluginEntry, actor: Actor): Promise<void> {
    const accepted = findAccepted(entry.id);
    accepted.record = await store.setStatus(entry.id, 'disabled', { actor: actor.id });
    await accepted.runtime.stop();
  }

  async function setStatus(request: { id: string; status: Status; bundleSha256?: string }, actor: Actor): Promise<PluginView> {
    const entry = find(request.id);
    const present = statusOf(entry);
    const decision = decideTransition(present, request.status);
    if (decision === 'forbidden') {
      throw new HostError('invalid-transition', `${request.id} is ${present}; it cannot become ${request.status}`, {
        from: present,
        to: request.status,
        hint: 'verified -> installed -> active -> disabled -> active',
      });
    }
    if (decision === 'installed') await install(entry, request.bundleSha256, actor);
    else if (decision === 'active' || decision === 'restart') await activate(entry, request.bundleSha256, actor);
    else if (decision === 'disabled') await disable(entry, actor);
    return viewPlugin(find(request.id));
  }

  /** Accepts the bundle on disk in place of the accepted one; when an active plugin then fails to arm, the former one comes back. */
  async function upgrade(request: { id: string; bundleSha256?: string }, actor: Actor): Promise<PluginView> {
    const entry = find(request.id);
    const accepted = findAccepted(request.id);
    const bundle = requireAvailable(entry);
    requireShown(request.bundleSha256, bundle.bundleSha256, request.id);
    if (bundle.bundleSha256 === accepted.record.bundleSha256) return viewPlugin(entry);
    const former = accepted.record;
    adopt(await store.setBundle(request.id, asAccepted(bundle), actor.id));
    if (accepted.record.status !== 'active') return viewPlugin(entry);
    const armed = await accepted.runtime.arm();
    if (armed.ok || stopping) return viewPlugin(entry);
    adopt(await store.setBundle(request.id, former, actor.id));
    await accepted.runtime.stop();
    await accepted.runtime.arm();
    throw new HostError('unavailable', `the upgrade of ${request.id} could not be armed, so the former version is back: ${armed.message}`, {
      rule: armed.cause,
    });
  }

  async function call(request: CallRequest, actor: Actor, options: { signal: AbortSignal; requestId: string }): Promise<unknown> {
    const entry = find(request.id);
    const row = findMethod(manifestOf(entry), request);
    checkCallScopes(request.id, row, actor);
    const accepted = findAccepted(request.id);
    const { callers } = accepted;
    callers.set(actor.id, (callers.get(actor.id) ?? 0) + 1);
    try {
      const timeoutMs = row.timeout_ms ?? defaultInvokeTimeoutMs;
      return await accepted.runtime.invoke(request.service, request.method, request.payload ?? null, { timeoutMs, signal: options.signal });
    } finally {
      const left = (callers.get(actor.id) ?? 1) - 1;
      if (left > 0) callers.set(actor.id, left);
      else callers.delete(actor.id);
    }
  }

  return {
    async start() {
      for (const record of await store.all()) adopt(record);
      await rescan();
      for (const { accepted } of entries.values()) {
        if (accepted?.record.status !== 'active') continue;
        if (accepted.record.health.broken) accepted.runtime.markBroken();
        else accepted.runtime.command('start'); // a failure here never changes what is wanted
      }
    },
    list: () => [...entries.values()].map(viewPlugin).sort((a, b) => (a.id < b.id ? -1 : 1)),
    show: (id) => viewPluginDetail(find(id)),
    refused: () => refused,
    setStatus: (request, actor) => queue.run(request.id, () => setStatus(request, actor)),
    upgrade: (request, actor) => queue.run(request.id, () => upgrade(request, actor)),
    reset: (id, actor) =>
      queue.run(id, async () => {
        const accepted = findAccepted(id);
        if (accepted.record.status !== 'active')
          throw new HostError('invalid-transition', `${id} is ${accepted.record.status}; only an active plugin is reset`);
        await deps.append({ kind: 'plugin.status', plugin: id, actor: actor.id, code: 'reset', summary: '{}' });
        accepted.runtime.reset();
        return viewPlugin(find(id));
      }),
    call,
    why(id) {
      const entry = find(id);
      const view = entry.accepted?.runtime.view();
      const why = entry.accepted?.runtime.why() ?? {
        message: null,
        uptime_ms: null,
        next_retry_at: null,
        last_host_call: null,
        exits: [],
        counters: {},
      };
      return { id, status: statusOf(entry), state: view?.state ?? 'stopped', ...why };
    },
    config: (id) => findAccepted(id).record.config,
    setConfig: (id, config, actor) =>
      queue.run(id, async () => {
        const accepted = findAccepted(id);
        accepted.record = await store.setConfig(id, config, actor.id);
        if (accepted.record.status === 'active') {
          const armed = await accepted.runtime.arm();
          if (!armed.ok)
            throw new HostError('unavailable', `the configuration of ${id} is stored, but it did not start with it: ${armed.message}`, {
              rule: armed.cause,
            });
        }
        return accepted.record.config;
      }),
    rescan: (actor) =>
      queue.run('(rescan)', async () => {
        await deps.append({ kind: 'api.change', actor: actor.id, method: 'rescan', summary: '{}' });
        return rescan();
      }),
    logs: {
      read: async (id, options) => (await find(id).accepted?.log.read(options)) ?? { run: null, runs: [], lines: [], dropped_bytes: 0 },
      follow: (id, onLine) => findAccepted(id).log.follow(onLine),
    },
    health() {
      const active = [...entries.values()].flatMap(({ accepted }) =>
        accepted?.record.status === 'active' ? [accepted.runtime.view().state] : [],
      );
      const count = (state: string) => active.filter((each) => each === state).length;
      return {
        ready: !stopping,
        reasons: stopping ? ['the service is stopping'] : [],
        plugins: { active: active.length, armed: count('armed'), failed: count('failed') },
      };
    },
    async stop() {
      stopping = true;
      const all = [...entries.values()].flatMap(({ accepted }) => (accepted ? [accepted] : []));
      await Promise.all(all.map(({ runtime }) => runtime.stop()));
      await Promise.all(all.map(({ log: lines }) => lines.flush()));
    },
  };
}

const asAccepted = ({ manifest, bundleSha256, text, verifiedAt }: VerifiedBundle): AcceptedBundle => ({
  id: manifest.id,
  publisher: manifest.publisher,
  name: manifest.name,
  type: manifest.type,
  version: manifest.version,
  bundleSha256,
  artifactSha256: manifest.digest_sha256,
  manifest: text,
  verifiedAt,
});
