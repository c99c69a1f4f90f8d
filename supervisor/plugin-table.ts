import { asHostError, HostError } from '../protocol/errors.ts';
import type { RateClass } from '../protocol/host-methods.ts';
import { parseManifest } from '../protocol/manifest.ts';
import type { AuditEntry } from './audit.ts';
import { createBroker, type HostHandlers, type RateLimiters } from './broker.ts';
import type { BundleStore, VerifiedBundle } from './bundle-store.ts';
import type { Clock } from './clock.ts';
import { createLaunch } from './launch-plugin.ts';
import type { Log } from './log.ts';
import type { PluginEntry } from './plugin-entry.ts';
import type { PluginLogs } from './plugin-logs.ts';
import type { PluginRecord, PluginStore } from './plugin-store.ts';
import type { RefusedBundle } from './plugin-view.ts';
import type { Policy } from './policy.ts';
import { createRateLimiter } from './rate-limiter.ts';
import type { Runner } from './runner.ts';
import { createRuntime } from './runtime.ts';

export type PluginTableDeps = {
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

/** Every plugin there is: what lies on disk, what was accepted, and the runtime of each that was. */
export function createPluginTable(deps: PluginTableDeps) {
  const { bundles, store, clock, log } = deps;
  const entries = new Map<string, PluginEntry>();
  const kept = new Set<string>(); // bundles that an upgrade may have to go back to
  let refused: RefusedBundle[] = [];

  /** Each plugin has its own, and keeps them over restarts. */
  function createRates(): RateLimiters {
    const create = (name: RateClass) => createRateLimiter(deps.policy.rates[name], clock.monotonicMs);
    return { read: create('read'), effect: create('effect'), fetch: create('fetch'), notify: create('notify'), log: create('log') };
  }

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
    const rates = createRates();
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
        const { accepted, bundle } = find(record.id);
        if (!accepted || !bundle)
          throw new HostError('not-found', `no verified bundle of ${record.id} is on disk, so it is not armed again`);
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

  /** Whose trust is gone is stopped before anything else is done: neither a slow scan nor a full disk may keep it running. */
  function condemnUntrusted(): void {
    for (const { accepted } of entries.values()) {
      const fault = accepted ? bundles.judge(accepted.record.manifest, accepted.record.artifactSha256) : null;
      if (accepted && fault) accepted.runtime.condemn('trust-lost', `${fault.code}: ${fault.detail}`);
    }
  }

  async function rescan(): Promise<{ verified: number; refused: RefusedBundle[] }> {
    await bundles.reloadPolicy();
    condemnUntrusted();
    const scan = await bundles.scan();
    takeScan(scan);
    const needed = [...entries.values()].flatMap(({ bundle, accepted }) => [bundle?.bundleSha256, accepted?.record.bundleSha256]);
    await bundles.collect(new Set([...needed.filter((sha) => sha !== undefined), ...kept]));
    return { verified: scan.verified.size, refused };
  }

  /** Puts every record of the store into the table. One that cannot be read is listed and left alone; it must not keep the others from starting. */
  async function load(): Promise<void> {
    for (const record of await store.all()) {
      try {
        adopt(record);
      } catch (error) {
        log.error('plugin.record', { plugin: record.id, error: asHostError(error).message });
      }
    }
  }

  return { entries, find, findAccepted, adopt, load, rescan, refused: () => refused, kept };
}

export type PluginTable = ReturnType<typeof createPluginTable>;
