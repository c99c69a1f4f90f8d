import { HostError } from '../protocol/errors.ts';
import { checkCallScopes, findMethod } from './call-scopes.ts';
import { abandonExchange, createStatusChange, notAvailable, requireOffered, requireShown, requireTrusted } from './change-status.ts';
import { checkCallPayload } from './check-call-payload.ts';
import { createExchange } from './exchange-bundle.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import { judgePublisher } from './judge-publisher.ts';
import { createKeyedQueue } from './keyed-queue.ts';
import { requireSettable } from './operator-egress.ts';
import { type AcceptedPlugin, asOffer, isAvailable, manifestOf, type PluginEntry, statusOf, termsOf } from './plugin-entry.ts';
import { createPluginTable, type PluginTableDeps } from './plugin-table.ts';
import type { Actor, CallOptions, CallRequest, PluginView, Supervisor } from './plugin-view.ts';
import { codeOfFailedStart, viewExit } from './run-record.ts';
import type { Safeguards, Settle } from './safeguards.ts';
import { defaultInvokeTimeoutMs, viewPlugin, viewPluginDetail } from './view-plugin.ts';
import { viewVerification } from './view-verification.ts';
import { watchTrust } from './watch-trust.ts';

export type SupervisorDeps = PluginTableDeps & { probationMs: number; reach?: Reach };
type ExchangeRequest = { id: string; bundleSha256?: string };

/** Every change that an operator may ask for, one at a time per plugin, and every look at what is so. */
export function createSupervisor(deps: SupervisorDeps): Supervisor & { start(): Promise<void> } {
  const { store, bundles, reach = noFailpoints.reach } = deps;
  const table = createPluginTable(deps);
  const { entries, find, findAccepted } = table;
  const queue = createKeyedQueue();
  let started = false;
  let stopping = false;
  let stopWatch = (): void => {};
  const view = (entry: PluginEntry): PluginView => viewPlugin(entry, table.refusedOf(entry.id));

  const verify = (manifest: string, artifactSha256: string) =>
    viewVerification(manifest, artifactSha256, bundles.policy(), deps.clock.wallMs());

  function requireRunning(): void {
    if (stopping) throw new HostError('unavailable', 'the service is stopping', { hint: 'ask again when it runs' });
  }

  const inTurn = <Result>(key: string, job: () => Promise<Result>, { guard }: Safeguards = {}): Promise<Result> =>
    queue.run(key, async () => {
      requireRunning();
      guard?.();
      return job();
    });
  const setStatus = createStatusChange({ table, bundles, store, isStopping: () => stopping, reach });
  const exchange = createExchange({ ...deps, requireRunning, reach });

  /** Accepts the bundle on disk in place of the accepted one. */
  async function upgrade({ id, bundleSha256 }: ExchangeRequest, actor: Actor, settle?: Settle): Promise<PluginView> {
    const entry = find(id);
    const accepted = findAccepted(id);
    const bundle = requireOffered(entry, table.refusedOf(id));
    requireShown(bundleSha256, bundle.bundleSha256, id);
    requireTrusted(bundles, bundle);
    if (bundle.bundleSha256 !== accepted.record.bundleSha256)
      await bundles.keepWhile(bundle.bundleSha256, () =>
        exchange(accepted, 'upgrade', asOffer(bundle, accepted.record.operatorEgress), { actor, settle }),
      );
    return view(entry);
  }

  /** Accepts again the bundle that the last upgrade replaced, if the present policy still lets it run. */
  async function rollback({ id, bundleSha256 }: ExchangeRequest, actor: Actor, settle?: Settle): Promise<PluginView> {
    const entry = find(id);
    const accepted = findAccepted(id);
    const { former: formers, operatorEgress } = accepted.record;
    const [former] = formers;
    if (!former)
      throw new HostError('conflict', `${id} has no former version to go back to`, {
        rule: 'no-former-version',
        hint: 'put the bundle you want in the plugin directory, rescan, and upgrade to it',
      });
    requireShown(bundleSha256, former.bundleSha256, id);
    if (!isAvailable(entry)) throw notAvailable(id, table.refusedOf(id));
    const { manifest } = await bundles.load(former.bundleSha256);
    const offer = { bundle: former, terms: termsOf(manifest, operatorEgress), operatorEgress };
    await exchange(accepted, 'rollback', offer, { actor, settle });
    return view(entry);
  }

  async function transfer({ id, publisher }: { id: string; publisher: string }, actor: Actor, settle?: Settle): Promise<PluginView> {
    const accepted = findAccepted(id);
    const fault = judgePublisher(bundles.policy(), publisher, id, deps.clock.wallMs());
    if (fault)
      throw new HostError('verification-failed', `${id} cannot be given to ${publisher}: ${fault.detail}`, {
        rule: fault.code,
        hint: 'name the publisher, with this id, in the trust policy, then: lattice plugins rescan',
      });
    accepted.record = await store.setOwner(id, publisher, actor.id, settle);
    return view(find(id));
  }

  async function call(request: CallRequest, actor: Actor, options: CallOptions): Promise<unknown> {
    const entry = find(request.id);
    const manifest = manifestOf(entry);
    const row = findMethod(manifest, request);
    checkCallScopes(request.id, row, actor);
    checkCallPayload(manifest, row, request);
    const { calls, runtime } = findAccepted(request.id).serving;
    const end = calls.begin(actor.id);
    try {
      const timeoutMs = row.timeout_ms ?? defaultInvokeTimeoutMs;
      const { signal, onProgress } = options;
      return await runtime.invoke(request.service, request.method, request.payload ?? null, { timeoutMs, signal, onProgress });
    } finally {
      end();
    }
  }

  /** What a process is given at its start has changed. */
  async function rearm({ record, serving }: AcceptedPlugin, what: string): Promise<void> {
    if (record.status !== 'active') return;
    const armed = await serving.runtime.arm();
    if (armed.ok) return;
    throw new HostError('unavailable', `${what} of ${record.id} is stored, but it did not start with it: ${armed.message}`, {
      rule: armed.cause,
    });
  }

  async function setEgress(id: string, hosts: readonly string[], actor: Actor, settle?: Settle): Promise<PluginView> {
    const accepted = findAccepted(id);
    requireSettable(accepted.serving.manifest, hosts);
    accepted.record = await store.setEgress(id, hosts, actor.id, settle);
    await abandonExchange(accepted); // a version that finishes its calls has the hosts of before
    await rearm(accepted, 'the hosts');
    return view(find(id));
  }

  async function setConfig(id: string, config: Record<string, unknown>, actor: Actor, settle?: Settle): Promise<Record<string, unknown>> {
    const accepted = findAccepted(id);
    accepted.record = await store.setConfig(id, config, actor.id, settle);
    await rearm(accepted, 'the configuration');
    return accepted.record.config;
  }

  async function reset(id: string, actor: Actor): Promise<PluginView> {
    const { record, serving } = findAccepted(id);
    if (record.status !== 'active')
      throw new HostError('invalid-transition', `${id} is ${record.status}; only an active plugin is reset`, {
        hint: `run it: lattice plugins activate ${id}`,
      });
    await deps.append({ kind: 'plugin.status', plugin: id, actor: actor.id, code: 'reset', summary: '{}' });
    const armed = await serving.runtime.reset();
    if (armed.ok || stopping) return view(find(id));
    throw new HostError(codeOfFailedStart(armed.cause), `the crashes of ${id} are forgotten, but it did not start: ${armed.message}`, {
      rule: armed.cause,
      hint: `see its last lines: lattice plugins why ${id}`,
    });
  }

  return {
    async start() {
      await table.load();
      await inTurn('(rescan)', table.rescan);
      stopWatch = watchTrust({ clock: deps.clock, policy: bundles.policy, judge: table.condemnUntrusted });
      for (const { accepted } of entries.values()) {
        if (accepted?.record.status !== 'active') continue;
        const { runtime } = accepted.serving;
        if (accepted.record.health.broken) runtime.markBroken();
        else runtime.command('start'); // a failure here never changes what is wanted
      }
      started = true;
    },
    list: () => [...entries.values()].map(view).sort((a, b) => (a.id < b.id ? -1 : 1)),
    show: (id) => viewPluginDetail(find(id), table.refusedOf(id), verify),
    refused: table.refused,
    setStatus(request, actor, safeguards) {
      const accepted = entries.get(request.id)?.accepted;
      // It does not wait for an upgrade to end, unless a condition might yet forbid it.
      if (request.status === 'disabled' && accepted && !safeguards?.guard) void abandonExchange(accepted);
      const change = async () => {
        await setStatus(request, { actor, settle: safeguards?.settle });
        return view(find(request.id));
      };
      return inTurn(request.id, change, safeguards);
    },
    upgrade: (request, actor, safeguards) => inTurn(request.id, () => upgrade(request, actor, safeguards?.settle), safeguards),
    rollback: (request, actor, safeguards) => inTurn(request.id, () => rollback(request, actor, safeguards?.settle), safeguards),
    transfer: (request, actor, safeguards) => inTurn(request.id, () => transfer(request, actor, safeguards?.settle), safeguards),
    reset: (id, actor, safeguards) => inTurn(id, () => reset(id, actor), safeguards),
    call,
    why(id) {
      const entry = find(id);
      const state = entry.accepted?.serving.runtime.view().state ?? 'stopped';
      const why = entry.accepted?.serving.runtime.why() ?? {
        message: null,
        uptime_ms: null,
        next_retry_at: null,
        last_host_call: null,
        owed: null,
        exits: [],
        counters: {},
      };
      return { id, status: statusOf(entry), state, ...why, exits: (entry.accepted?.health.exits() ?? []).map(viewExit) };
    },
    config: (id) => findAccepted(id).record.config,
    setEgress: (id, hosts, actor, safeguards) => inTurn(id, () => setEgress(id, hosts, actor, safeguards?.settle), safeguards),
    setConfig: (id, config, actor, safeguards) => inTurn(id, () => setConfig(id, config, actor, safeguards?.settle), safeguards),
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
        accepted?.record.status === 'active' ? [accepted.serving.runtime.view().state] : [],
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
      stopWatch();
      const all = [...entries.values()];
      await Promise.all(all.flatMap(({ accepted }) => (accepted ? [accepted.serving.runtime.close(), abandonExchange(accepted)] : [])));
      await Promise.all(all.map(({ accepted }) => accepted?.log.flush()));
    },
  };
}
