import { compare } from 'semver';
import { defaultResources } from '../protocol/manifest.ts';
import type { Manifest } from '../protocol/manifest-form.ts';
import type { VerifiedBundle } from './bundle-store.ts';
import type { Status } from './plugin-lifecycle.ts';
import type { PluginLog } from './plugin-log.ts';
import type { PluginRecord } from './plugin-store.ts';
import type { PluginDetail, PluginView, RuntimeView, UpgradeView } from './plugin-view.ts';
import type { Runtime } from './runtime.ts';

/** One plugin as the supervisor holds it: what is on disk, what was accepted, what runs. One of the first two is always there. */
export type PluginEntry = {
  id: string;
  bundle: VerifiedBundle | null;
  accepted: { record: PluginRecord; manifest: Manifest; runtime: Runtime; log: PluginLog; callers: Map<string, number> } | null;
};

export const statusOf = (entry: PluginEntry): Status => entry.accepted?.record.status ?? 'verified';

/** What the entry shows: the accepted manifest, or, before one is accepted, the one on disk. */
export function manifestOf(entry: PluginEntry): Manifest {
  const manifest = entry.accepted?.manifest ?? entry.bundle?.manifest;
  if (!manifest) throw new Error(`${entry.id} has neither a bundle nor a record`);
  return manifest;
}

export function viewPlugin(entry: PluginEntry): PluginView {
  const manifest = manifestOf(entry);
  const record = entry.accepted?.record ?? null;
  return {
    id: entry.id,
    name: manifest.name,
    type: manifest.type,
    version: manifest.version,
    publisher: manifest.publisher,
    capabilities: [...manifest.capabilities].sort(),
    artifact_sha256: manifest.digest_sha256,
    bundle_sha256: record?.bundleSha256 ?? entry.bundle?.bundleSha256 ?? '',
    available: entry.bundle !== null,
    status: statusOf(entry),
    upgrade: viewUpgrade(entry),
    runtime: entry.accepted ? viewRuntime(entry.id, entry.accepted.runtime) : null,
    verified_at: record?.verifiedAt ?? entry.bundle?.verifiedAt ?? null,
    installed_at: record?.installedAt ?? null,
    activated_at: record?.activatedAt ?? null,
    disabled_at: record?.disabledAt ?? null,
    created_at: record?.createdAt ?? null,
    updated_at: record?.updatedAt ?? null,
  };
}

export function viewPluginDetail(entry: PluginEntry): PluginDetail {
  const manifest = manifestOf(entry);
  return {
    ...viewPlugin(entry),
    engine: manifest.engine,
    egress: manifest.egress ?? [],
    read_buckets: manifest.kv?.read_buckets ?? [],
    services: (manifest.services ?? []).map(({ name, methods }) => ({
      name,
      methods: methods.map((method) => ({
        name: method.name,
        effect: method.effect,
        scopes: [...method.scopes],
        timeout_ms: method.timeout_ms ?? defaultInvokeTimeoutMs,
      })),
    })),
    resources: { ...defaultResources, ...manifest.resources },
    accepted_by: entry.accepted?.record.acceptedBy ?? null,
  };
}

export const defaultInvokeTimeoutMs = 30_000;

const viewRuntime = (id: string, runtime: Runtime): RuntimeView => ({ plugin_id: id, ...runtime.view() });

function viewUpgrade({ bundle, accepted }: PluginEntry): UpgradeView | null {
  if (!bundle || !accepted || bundle.bundleSha256 === accepted.record.bundleSha256) return null;
  const before = new Set<string>(accepted.manifest.capabilities);
  const after = new Set<string>(bundle.manifest.capabilities);
  return {
    bundle_sha256: bundle.bundleSha256,
    version: bundle.manifest.version,
    downgrade: compare(bundle.manifest.version, accepted.manifest.version) < 0,
    capabilities_added: bundle.manifest.capabilities.filter((name) => !before.has(name)),
    capabilities_removed: accepted.manifest.capabilities.filter((name) => !after.has(name)),
  };
}
