import { asHostError, HostError } from '../protocol/errors.ts';
import { parseManifest } from '../protocol/manifest.ts';
import type { Manifest } from '../protocol/manifest-form.ts';
import type { BundleStore, VerifiedBundle } from './bundle-store.ts';
import { createLaunch } from './launch-plugin.ts';
import { type AcceptedPlugin, isAvailable, type PluginEntry, versionsOf } from './plugin-entry.ts';
import { createPluginHealth } from './plugin-health.ts';
import type { PluginLogs } from './plugin-logs.ts';
import type { PluginRecord, PluginStore } from './plugin-store.ts';
import { createRates, createVersion, type PluginVersion, type VersionBundle, type VersionDeps } from './plugin-version.ts';
import type { RefusedBundle } from './plugin-view.ts';
import type { Policy } from './policy.ts';

export type PluginTableDeps = VersionDeps & { bundles: BundleStore; store: PluginStore; policy: Policy; logs: PluginLogs };

/** Every plugin there is: what lies on disk, what was accepted, and the runtime of each that was. */
export function createPluginTable(deps: PluginTableDeps) {
  const { bundles, store, log } = deps;
  const entries = new Map<string, PluginEntry>();
  let refusedByScan: RefusedBundle[] = [];

  function find(id: string): PluginEntry {
    const entry = entries.get(id);
    if (!entry)
      throw new HostError('not-found', `there is no plugin ${id.slice(0, 80)}`, { hint: 'list what there is: lattice plugins list' });
    return entry;
  }

  function findAccepted(id: string): AcceptedPlugin {
    const { accepted } = find(id);
    if (!accepted)
      throw new HostError('invalid-transition', `${id} is not installed`, { hint: `install it first: lattice plugins install ${id}` });
    return accepted;
  }

  /** Puts a new record, with a version that runs in a runtime of its own, into the entry. */
  function adopt(record: PluginRecord): AcceptedPlugin {
    const { id } = record;
    const entry = entries.get(id) ?? { id, bundle: null, accepted: null };
    entries.set(id, entry);
    const pluginLog = deps.logs.of(id);
    const health = createPluginHealth(record.health, (saved) => store.saveHealth(id, saved));
    const home = {
      id,
      log: pluginLog,
      health,
      rates: createRates(deps.policy, deps.clock),
      nextGeneration: () => store.nextGeneration(id),
      prepare: async (bundleSha256: string, generation: number) => {
        if (!isAvailable(entry)) throw new HostError('not-found', `no verified bundle of ${id} is on disk, so it is not armed again`);
        const { config, operatorEgress } = accepted.record;
        return createLaunch(await bundles.load(bundleSha256), generation, config, deps.policy.ceilings, operatorEgress);
      },
    };
    const open = (bundle: VersionBundle, isFirst: boolean): PluginVersion =>
      createVersion(deps, home, { bundle, manifest: manifestIn(id, bundle.manifest), isFirst });
    const accepted: AcceptedPlugin = {
      record,
      serving: open(record, true),
      incoming: null,
      outgoing: null,
      log: pluginLog,
      health,
      openVersion: (bundle) => open(bundle, false),
    };
    entry.accepted = accepted;
    return accepted;
  }

  /** Takes what a scan found: bundles by id. */
  function takeScan(scan: { verified: ReadonlyMap<string, VerifiedBundle>; refused: RefusedBundle[] }): void {
    for (const entry of entries.values()) entry.bundle = null;
    for (const [id, bundle] of scan.verified) {
      const entry = entries.get(id) ?? { id, bundle, accepted: null };
      entry.bundle = bundle;
      entries.set(id, entry);
    }
    for (const [id, entry] of entries) if (!entry.bundle && !entry.accepted) entries.delete(id);
    refusedByScan = scan.refused;
    for (const bundle of listRefused()) log.warn('bundle.refused', { ...bundle });
  }

  const listRefused = (): RefusedBundle[] => [...refusedByScan, ...[...entries.values()].flatMap(publisherConflict)];

  /** Whose trust is gone is stopped before anything else is done: neither a slow scan nor a full disk may keep it running. */
  function condemnUntrusted(): void {
    for (const version of [...entries.values()].flatMap(versionsOf)) {
      const fault = bundles.judge(version.bundle.manifest, version.bundle.artifactSha256);
      if (fault) version.runtime.condemn('trust-lost', `${fault.code}: ${fault.detail}`);
    }
  }

  const isNeeded = (bundleSha256: string): boolean =>
    [...entries.values()].some(
      (entry) =>
        entry.bundle?.bundleSha256 === bundleSha256 ||
        versionsOf(entry).some(({ bundle }) => bundle.bundleSha256 === bundleSha256) ||
        (entry.accepted?.record.former ?? []).some((former) => former.bundleSha256 === bundleSha256),
    );

  async function rescan(): Promise<{ verified: number; refused: RefusedBundle[] }> {
    await bundles.reloadPolicy();
    condemnUntrusted();
    const scan = await bundles.scan();
    takeScan(scan);
    await bundles.collect(isNeeded);
    return { verified: scan.verified.size, refused: listRefused() };
  }

  /** Puts every record of the store into the table. One that cannot be read is listed and left alone; it must not keep the others from starting. */
  async function load(): Promise<void> {
    for (const record of await store.all()) {
      try {
        adopt(record);
      } catch (error) {
        entries.delete(record.id);
        log.error('plugin.record', { plugin: record.id, error: asHostError(error).message });
      }
    }
  }

  /** Why the bundle of this id that is on disk does not count. */
  const refusedOf = (id: string): RefusedBundle | null => listRefused().find((each) => each.id === id) ?? null;

  return { entries, find, findAccepted, adopt, load, rescan, condemnUntrusted, refused: listRefused, refusedOf };
}

export type PluginTable = ReturnType<typeof createPluginTable>;

/** A bundle with an id that is another publisher's. */
function publisherConflict({ id, bundle, accepted }: PluginEntry): RefusedBundle[] {
  const owner = accepted?.record.owner;
  if (!bundle || owner === undefined || owner === bundle.manifest.publisher) return [];
  const detail = `${id} belongs to publisher ${owner}; this bundle is signed by ${bundle.manifest.publisher}`;
  return [{ folder: id, id, code: 'publisher-conflict', detail }];
}

function manifestIn(id: string, text: string): Manifest {
  const parsed = parseManifest(Buffer.from(text, 'utf8'));
  if (parsed.ok) return parsed.manifest;
  throw new HostError('storage-unavailable', `the record of ${id} holds a manifest that is not one`, { rule: parsed.fault.code });
}
