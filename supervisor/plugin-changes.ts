import { isDeepStrictEqual } from 'node:util';
import { HostError } from '../protocol/errors.ts';
import { compareVersions } from './bundle-difference.ts';
import type { Tx } from './database.ts';
import { addConsent, popFormer, pushFormer } from './plugin-history.ts';
import { decideTransition, type Status } from './plugin-lifecycle.ts';
import { findPlugin, loadPlugin } from './plugin-rows.ts';
import type { AcceptedBundle, Offer, PluginRecord, StatusEntry, StoredStatus } from './plugin-store.ts';

export const configMostBytes = 64 * 1024;
const reasonMost = 500;
const stampOf: Readonly<Record<StoredStatus, string>> = { installed: 'installed_at', active: 'activated_at', disabled: 'disabled_at' };

export function refuseOtherPublisher(bundle: AcceptedBundle, owner: string): void {
  if (bundle.publisher === owner) return;
  throw new HostError('conflict', `${bundle.id} belongs to the publisher ${owner}`, {
    rule: 'publisher-conflict',
    publisher: owner,
    hint: `have ${owner} sign it, or give the id to ${bundle.publisher}: lattice plugins transfer ${bundle.id} --to ${bundle.publisher}`,
  });
}

export async function acceptBundle(
  tx: Tx,
  { bundle, terms, operatorEgress }: Offer,
  actor: string | null,
  now: string,
): Promise<PluginRecord> {
  const known = await findPlugin(tx, bundle.id);
  if (known) {
    refuseOtherPublisher(bundle, known.owner);
    if (known.bundleSha256 === bundle.bundleSha256) return known;
    throw new HostError('conflict', `${bundle.id} is installed with another bundle`, {
      rule: 'already-installed',
      bundle_sha256: known.bundleSha256,
      hint: `use \`lattice plugins upgrade ${bundle.id}\``,
    });
  }
  await tx.run(
    `INSERT INTO plugins (id, owner, publisher, name, type, version, bundle_sha256, artifact_sha256, manifest, operator_egress, status, accepted_by,
       verified_at, installed_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'installed', ?, ?, ?, ?, ?)`,
    [bundle.id, bundle.publisher, ...bundleColumns(bundle), JSON.stringify(operatorEgress), actor, bundle.verifiedAt, now, now, now],
  );
  tx.reach('plugin.changed');
  await addConsent(tx, bundle, terms, { kind: 'install', actor, time: now });
  const { version, bundleSha256 } = bundle;
  const { capabilities } = terms;
  const egress = operatorEgress.length > 0 ? { egress: operatorEgress } : {}; // the manifest's own are in the manifest
  const change = { change: 'status', from: 'verified', to: 'installed', version, bundle_sha256: bundleSha256, capabilities, ...egress };
  audit(tx, bundle.id, { actor }, change);
  return loadPlugin(tx, bundle.id);
}

const bundleColumns = (bundle: AcceptedBundle): string[] => [
  bundle.publisher,
  bundle.name,
  bundle.type,
  bundle.version,
  bundle.bundleSha256,
  bundle.artifactSha256,
  bundle.manifest,
];

export async function changeStatus(tx: Tx, id: string, wanted: Status, entry: StatusEntry, now: string): Promise<PluginRecord> {
  const record = await loadPlugin(tx, id);
  const { status } = record;
  const decision = decideTransition(status, wanted);
  if (decision === 'no-op') return record;
  if (decision === 'forbidden' || wanted === 'verified') {
    const hint = status === 'active' ? 'disable it first' : 'see the states that `lattice plugins show` lists as next';
    throw new HostError('invalid-transition', `${id} is ${status} and cannot become ${wanted}`, { from: status, to: wanted, hint });
  }
  await tx.run(`UPDATE plugins SET status = ?, ${stampOf[wanted]} = ?, updated_at = ? WHERE id = ?`, [wanted, now, now, id]);
  tx.reach('plugin.changed');
  const reason = entry.reason?.slice(0, reasonMost);
  audit(tx, id, entry, { change: decision === 'restart' ? 'restart' : 'status', from: status, to: wanted, reason });
  return loadPlugin(tx, id);
}

export async function changeBundle(
  tx: Tx,
  kind: 'upgrade' | 'rollback',
  { bundle, terms }: Offer,
  actor: string | null,
  now: string,
): Promise<PluginRecord> {
  const known = await loadPlugin(tx, bundle.id);
  refuseOtherPublisher(bundle, known.owner);
  if (known.bundleSha256 === bundle.bundleSha256) return known;
  if (kind === 'upgrade') await pushFormer(tx, known);
  else await popFormer(tx, bundle.id);
  tx.reach('plugin.superseded');
  await tx.run(
    `UPDATE plugins SET publisher = ?, name = ?, type = ?, version = ?, bundle_sha256 = ?, artifact_sha256 = ?, manifest = ?, accepted_by = ?,
       verified_at = ?, updated_at = ?, crash_times_ms = '[]', broken = 0 WHERE id = ?`,
    [...bundleColumns(bundle), actor, bundle.verifiedAt, now, bundle.id],
  );
  tx.reach('plugin.changed');
  const isDowngrade = kind === 'upgrade' && compareVersions(known.version, bundle.version) === 'downgrade';
  const change = isDowngrade ? 'downgrade' : kind;
  await addConsent(tx, bundle, terms, { kind: change, actor, time: now });
  const { version, bundleSha256 } = bundle;
  const { capabilities } = terms;
  audit(tx, bundle.id, { actor }, { change, from: known.version, to: version, bundle_sha256: bundleSha256, capabilities });
  return loadPlugin(tx, bundle.id);
}

/** An operator's decision, so it is kept with the consents. What is accepted does not change with it. */
export async function changeOwner(tx: Tx, id: string, owner: string, actor: string | null, now: string): Promise<PluginRecord> {
  const known = await loadPlugin(tx, id);
  if (known.owner === owner) return known;
  await tx.run('UPDATE plugins SET owner = ?, updated_at = ? WHERE id = ?', [owner, now, id]);
  const [last] = known.consents;
  const terms = { capabilities: last?.capabilities ?? [], egress: last?.egress ?? [] };
  await addConsent(tx, { ...known, publisher: owner }, terms, { kind: 'transfer', actor, time: now });
  audit(tx, id, { actor }, { change: 'transfer', from: known.owner, to: owner });
  return loadPlugin(tx, id);
}

export async function changeConfig(
  tx: Tx,
  id: string,
  config: Record<string, unknown>,
  actor: string | null,
  now: string,
): Promise<PluginRecord> {
  const text = JSON.stringify(config);
  const bytes = Buffer.byteLength(text);
  if (bytes > configMostBytes) {
    const details = {
      bytes,
      limit: configMostBytes,
      hint: 'keep larger data in the key-value store and only its key in the configuration',
    };
    throw new HostError('payload-too-large', `the configuration of ${id} has ${bytes} bytes, the limit is ${configMostBytes}`, details);
  }
  await loadPlugin(tx, id);
  await tx.run('UPDATE plugins SET config = ?, updated_at = ? WHERE id = ?', [text, now, id]);
  audit(tx, id, { actor }, { change: 'config', bytes }); // its values may be secrets
  return loadPlugin(tx, id);
}

/** An operator's decision about what it may reach, so it is kept with the consents. */
export async function changeEgress(tx: Tx, id: string, hosts: readonly string[], actor: string | null, now: string): Promise<PluginRecord> {
  const known = await loadPlugin(tx, id);
  if (isDeepStrictEqual(known.operatorEgress, hosts)) return known;
  await tx.run('UPDATE plugins SET operator_egress = ?, updated_at = ? WHERE id = ?', [JSON.stringify(hosts), now, id]);
  await addConsent(tx, known, { capabilities: known.consents[0]?.capabilities ?? [], egress: hosts }, { kind: 'egress', actor, time: now });
  audit(tx, id, { actor }, { change: 'egress', from: known.operatorEgress, to: hosts });
  return loadPlugin(tx, id);
}

function audit(tx: Tx, plugin: string, entry: StatusEntry, summary: Record<string, unknown>): void {
  tx.audit({ kind: 'plugin.status', plugin, actor: entry.actor, code: entry.code ?? null, summary: JSON.stringify(summary) });
}
