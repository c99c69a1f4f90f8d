import type { Manifest } from '../protocol/manifest-form.ts';
import type { VerifiedBundle } from './bundle-store.ts';
import { egressOf } from './operator-egress.ts';
import type { PluginHealth } from './plugin-health.ts';
import type { Status } from './plugin-lifecycle.ts';
import type { PluginLog } from './plugin-log.ts';
import type { Offer, PluginRecord, Terms } from './plugin-store.ts';
import type { PluginVersion, VersionBundle } from './plugin-version.ts';

/** What was consented to, and what of it runs. */
export type AcceptedPlugin = {
  record: PluginRecord;
  serving: PluginVersion; // it gets the calls
  incoming: Incoming | null; // on its way to be called, during an upgrade
  outgoing: Outgoing | null; // finishing its calls, after one
  log: PluginLog;
  health: PluginHealth;
  openVersion(bundle: VersionBundle): PluginVersion;
};
export type Incoming = { version: PluginVersion; giveUp: AbortController };
export type Outgoing = { version: PluginVersion; hurry: AbortController; gone: Promise<void> };

/** One plugin as the supervisor holds it: what is on disk, and what was accepted. One of the two is always there. */
export type PluginEntry = { id: string; bundle: VerifiedBundle | null; accepted: AcceptedPlugin | null };

export const statusOf = (entry: PluginEntry): Status => entry.accepted?.record.status ?? 'verified';

/** What the entry shows: the accepted manifest, or, before one is accepted, the one on disk. */
export function manifestOf(entry: PluginEntry): Manifest {
  const manifest = entry.accepted?.serving.manifest ?? entry.bundle?.manifest;
  if (!manifest) throw new Error(`${entry.id} has neither a bundle nor a record`);
  return manifest;
}

/** The bundle on disk, unless the id is another publisher's. */
export function offeredBundle({ bundle, accepted }: PluginEntry): VerifiedBundle | null {
  return bundle && accepted && accepted.record.owner !== bundle.manifest.publisher ? null : bundle;
}

/** Whether it may be armed: its publisher's bundle is on disk or, after a transfer, still the accepted one. */
export const isAvailable = (entry: PluginEntry): boolean =>
  offeredBundle(entry) !== null || (entry.bundle !== null && entry.bundle.bundleSha256 === entry.accepted?.serving.bundle.bundleSha256);

/** Each has a runtime, and so perhaps a process. */
export function versionsOf({ accepted }: PluginEntry): PluginVersion[] {
  if (!accepted) return [];
  const { serving, incoming, outgoing } = accepted;
  return [serving, ...(incoming ? [incoming.version] : []), ...(outgoing ? [outgoing.version] : [])];
}

/** What consent covers: a manifest, and the hosts that the operator set for one that has no field for them. */
export const termsOf = (manifest: Manifest, operatorEgress: readonly string[]): Terms => ({
  capabilities: manifest.capabilities,
  egress: egressOf(manifest, operatorEgress),
});

export const asOffer = ({ manifest, bundleSha256, text, verifiedAt }: VerifiedBundle, operatorEgress: readonly string[]): Offer => ({
  terms: termsOf(manifest, operatorEgress),
  operatorEgress,
  bundle: {
    id: manifest.id,
    publisher: manifest.publisher,
    name: manifest.name,
    type: manifest.type,
    version: manifest.version,
    bundleSha256,
    artifactSha256: manifest.digest_sha256,
    manifest: text,
    verifiedAt,
  },
});
