import { HostError } from '../protocol/errors.ts';
import type { VerifiedBundle } from './bundle-store.ts';
import { checkCallScopes, findMethod } from './call-scopes.ts';
import { createKeyedQueue } from './keyed-queue.ts';
import { defaultInvokeTimeoutMs, manifestOf, type PluginEntry, statusOf, viewPlugin, viewPluginDetail } from './plugin-entry.ts';
import { decideTransition, type Status } from './plugin-lifecycle.ts';
import type { AcceptedBundle } from './plugin-store.ts';
import { createPluginTable, type PluginTableDeps } from './plugin-table.ts';
import type { Actor, CallOptions, CallRequest, PluginView, Supervisor } from './plugin-view.ts';

export type SupervisorDeps = PluginTableDeps;

/** Every change that an operator may ask for, one at a time per plugin, and every look at what is so. */
export function createSupervisor(deps: SupervisorDeps): Supervisor & { start(): Promise<void> } {
  const { store } = deps;
  const table = createPluginTable(deps);
  const { entries, find, findAccepted, adopt } = table;
  const queue = createKeyedQueue();
  let started = false;
  let stopping = false;

  const inTurn = <Result>(key: string, job: () => Promise<Result>): Promise<Result> =>
    queue.run(key, async () => {
      if (stopping) throw new HostError('unavailable', 'the service is stopping', { hint: 'ask again when it runs' });
      return job();
    });

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
    const stopped = accepted.runtime.stop(); // first: a store that cannot be written must not keep a plugin running
    try {
      accepted.record = await store.setStatus(entry.id, 'disabled', { actor: actor.id });
    } finally {
      await stopped;
    }
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
    table.kept.add(former.bundleSha256);
    try {
      return await exchange(entry, bundle, actor);
    } finally {
      table.kept.delete(former.bundleSha256);
    }
  }

  async function exchange(entry: PluginEntry, bundle: VerifiedBundle, actor: Actor): Promise<PluginView> {
    const accepted = findAccepted(entry.id);
    const former = accepted.record;
    adopt(await store.setBundle(entry.id, asAccepted(bundle), actor.id));
    if (accepted.record.status !== 'active') return viewPlugin(entry);
    const armed = await accepted.runtime.arm();
    if (armed.ok || stopping) return viewPlugin(entry);
    adopt(await store.setBundle(entry.id, former, actor.id));
    await accepted.runtime.stop();
    await accepted.runtime.arm();
    throw new HostError('unavailable', `the upgrade of ${entry.id} could not be armed, so the former version is back: ${armed.message}`, {
      rule: armed.cause,
    });
  }

  async function call(request: CallRequest, actor: Actor, options: CallOptions): Promise<unknown> {
    const entry = find(request.id);
    const row = findMethod(manifestOf(entry), request);
    checkCallScopes(request.id, row, actor);
    const accepted = findAccepted(request.id);
    const { callers } = accepted;
    callers.set(actor.id, (callers.get(actor.id) ?? 0) + 1);
    try {
      const timeoutMs = row.timeout_ms ?? defaultInvokeTimeoutMs;
      return await accepted.runtime.invoke(request.service, request.method, request.payload ?? null, {
        timeoutMs,
        signal: options.signal,
        onProgress: options.onProgress,
      });
    } finally {
      const left = (callers.get(actor.id) ?? 1) - 1;
      if (left > 0) callers.set(actor.id, left);
      else callers.delete(actor.id);
    }
  }

  return {
    async start() {
      await table.load();
      await inTurn('(rescan)', table.rescan);
      for (const { accepted } of entries.values()) {
        if (accepted?.record.status !== 'active') continue;
        if (accepted.record.health.broken) accepted.runtime.markBroken();
        else accepted.runtime.command('start'); // a failure here never changes what is wanted
      }
      started = true;
    },
    list: () => [...entries.values()].map(viewPlugin).sort((a, b) => (a.id < b.id ? -1 : 1)),
    show: (id) => viewPluginDetail(find(id)),
    refused: table.refused,
    setStatus: (request, actor) => inTurn(request.id, () => setStatus(request, actor)),
    upgrade: (request, actor) => inTurn(request.id, () => upgrade(request, actor)),
    reset: (id, actor) =>
      inTurn(id, async () => {
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
      inTurn(id, async () => {
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
      inTurn('(rescan)', async () => {
        const found = await table.rescan();
        await deps.append({
          kind: 'api.change',
          actor: actor.id,
          method: 'rescan',
          summary: JSON.stringify({ verified: found.verified, refused: found.refused.length }),
        });
        return found;
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
        ready: started && !stopping,
        reasons: stopping ? ['the service is stopping'] : started ? [] : ['the plugins are being scanned'],
        plugins: { active: active.length, armed: count('armed'), failed: count('failed') },
      };
    },
    async stop() {
      stopping = true;
      const all = [...entries.values()].flatMap(({ accepted }) => (accepted ? [accepted] : []));
      await Promise.all(all.map(({ runtime }) => runtime.close()));
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
