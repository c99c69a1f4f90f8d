import { defaultResources, parseManifest } from '../protocol/manifest.ts';
import type { Manifest } from '../protocol/manifest-form.ts';
import { compareBundles } from './bundle-difference.ts';
import { egressOf, isEgressSetByOperator } from './operator-egress.ts';
import {
  type AcceptedPlugin,
  asOffer,
  isAvailable,
  manifestOf,
  offeredBundle,
  type PluginEntry,
  statusOf,
  termsOf,
} from './plugin-entry.ts';
import type { Consent } from './plugin-store.ts';
import type { PluginVersion } from './plugin-version.ts';
import type {
  ConsentView,
  OtherRuntimeView,
  PluginDetail,
  PluginView,
  RefusedBundle,
  RuntimeView,
  UpgradeView,
  VerificationView,
} from './plugin-view.ts';
import { describeRunner } from './runner.ts';
import { stateRisk } from './upgrade-risk.ts';

export const defaultInvokeTimeoutMs = 30_000;

/** What is shown of every plugin. `refused`: why what lies on disk under its id is not offered. */
export function viewPlugin(entry: PluginEntry, refused: RefusedBundle | null): PluginView {
  const manifest = manifestOf(entry);
  const record = entry.accepted?.record ?? null;
  return {
    id: entry.id,
    name: manifest.name,
    type: manifest.type,
    form: manifest.form,
    wire: manifest.wire,
    version: manifest.version,
    publisher: manifest.publisher,
    unsigned: manifest.unsigned,
    transferred_to: record && record.owner !== record.publisher ? record.owner : null,
    capabilities: [...manifest.capabilities].sort(),
    artifact_sha256: record?.artifactSha256 ?? manifest.digest_sha256,
    bundle_sha256: record?.bundleSha256 ?? entry.bundle?.bundleSha256 ?? '',
    egress: [...egressOf(manifest, record?.operatorEgress ?? [])],
    egress_set_by: isEgressSetByOperator(manifest) ? 'operator' : 'manifest',
    available: isAvailable(entry),
    refused: isAvailable(entry) ? null : refused,
    status: statusOf(entry),
    upgrade: viewUpgrade(entry),
    runtime: entry.accepted ? viewRuntime(entry.id, entry.accepted.serving) : null,
    other_runtimes: viewOthers(entry),
    verified_at: record?.verifiedAt ?? entry.bundle?.verifiedAt ?? null,
    installed_at: record?.installedAt ?? null,
    activated_at: record?.activatedAt ?? null,
    disabled_at: record?.disabledAt ?? null,
    created_at: record?.createdAt ?? null,
    updated_at: record?.updatedAt ?? null,
  };
}

type Verify = (manifest: string, artifactSha256: string) => VerificationView;

/** The same and more of one. `verify`: by the present trust policy. */
export function viewPluginDetail(entry: PluginEntry, refused: RefusedBundle | null, verify: Verify): PluginDetail {
  const manifest = manifestOf(entry);
  const offered = offeredBundle(entry);
  const [former] = entry.accepted?.record.former ?? [];
  const shown = entry.accepted?.record ?? (offered && asOffer(offered, []).bundle);
  return {
    ...viewPlugin(entry, refused),
    engine: manifest.engine,
    routes: (manifest.routes ?? []).map(({ path, methods }) => ({ path, methods: [...methods] })),
    read_buckets: manifest.kv?.read_buckets ?? [],
    services: (manifest.services ?? []).map(({ name, methods }) => ({
      name,
      methods: methods.map((method) => ({
        name: method.name,
        effect: method.effect,
        scopes: [...method.scopes],
        timeout_ms: method.timeout_ms ?? defaultInvokeTimeoutMs,
        params: method.params ?? null,
        result: method.result ?? null,
      })),
    })),
    resources: { ...defaultResources, ...manifest.resources },
    accepted_by: entry.accepted?.record.acceptedBy ?? null,
    consents: (entry.accepted?.record.consents ?? []).map(viewConsent),
    rollback: viewRollback(entry),
    verification: verify(shown?.manifest ?? '', shown?.artifactSha256 ?? ''),
    upgrade_verification: offered && viewUpgrade(entry) ? verify(offered.text, offered.manifest.digest_sha256) : null,
    rollback_verification: former ? verify(former.manifest, former.artifactSha256) : null,
  };
}

const viewConsent = ({ bundleSha256, capabilities, egress, ...rest }: Consent): ConsentView => ({
  ...rest,
  bundle_sha256: bundleSha256,
  capabilities: [...capabilities],
  egress: [...egress],
});

function viewRuntime(id: string, { runtime, manifest }: PluginVersion): RuntimeView {
  const view = runtime.view();
  return { plugin_id: id, ...view, runner: describeRunner(view.runner, manifest.wire) };
}

function viewOthers({ accepted }: PluginEntry): OtherRuntimeView[] {
  const view = (role: OtherRuntimeView['role'], { manifest, runtime }: PluginVersion): OtherRuntimeView => {
    const { state, generation, pid, sandbox, started_at } = runtime.view();
    return { role, version: manifest.version, state, generation, pid, sandbox, started_at };
  };
  return [
    ...(accepted?.incoming ? [view('incoming', accepted.incoming.version)] : []),
    ...(accepted?.outgoing ? [view('outgoing', accepted.outgoing.version)] : []),
  ];
}

function viewUpgrade(entry: PluginEntry): UpgradeView | null {
  const bundle = offeredBundle(entry);
  if (!bundle || !entry.accepted || bundle.bundleSha256 === entry.accepted.record.bundleSha256) return null;
  return viewExchange(entry.accepted, bundle.manifest, bundle.bundleSha256);
}

function viewRollback({ accepted }: PluginEntry): UpgradeView | null {
  const [former] = accepted?.record.former ?? [];
  const parsed = former ? parseManifest(Buffer.from(former.manifest, 'utf8')) : null;
  return accepted && former && parsed?.ok ? viewExchange(accepted, parsed.manifest, former.bundleSha256) : null;
}

function viewExchange({ serving, record }: AcceptedPlugin, to: Manifest, bundleSha256: string): UpgradeView {
  const { manifest: from } = serving;
  const terms = termsOf(to, record.operatorEgress);
  const differences = compareBundles(
    { manifest: from, egress: egressOf(from, record.operatorEgress) },
    { manifest: to, egress: terms.egress },
  );
  return {
    bundle_sha256: bundleSha256,
    version: to.version,
    publisher: to.publisher,
    unsigned: to.unsigned,
    change: differences.version.change,
    downgrade: differences.version.change === 'downgrade',
    capabilities: [...terms.capabilities].sort(),
    egress: [...terms.egress],
    egress_set_by: isEgressSetByOperator(to) ? 'operator' : 'manifest',
    read_buckets: to.kv?.read_buckets ?? [],
    capabilities_added: differences.capabilities.added,
    capabilities_removed: differences.capabilities.removed,
    differences,
    risk: stateRisk(differences, isEgressSetByOperator(to) ? terms.egress : []),
  };
}
