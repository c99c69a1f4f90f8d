import { HostError } from '../protocol/errors.ts';
import type { Tx } from './database.ts';
import { decideTransition, type Status } from './plugin-lifecycle.ts';
import { findPlugin, loadPlugin } from './plugin-rows.ts';
import type { AcceptedBundle, PluginRecord, StatusEntry, StoredStatus } from './plugin-store.ts';

export const configMostBytes = 64 * 1024;
const reasonMost = 500;
const stampOf: Readonly<Record<StoredStatus, string>> = { installed: 'installed_at', active: 'activated_at', disabled: 'disabled_at' };

function refuseOtherPublisher(bundle: AcceptedBundle, publisher: string): void {
  if (bundle.publisher === publisher) return;
  throw new HostError('conflict', `${bundle.id} belongs to the publisher ${publisher}`, {
    rule: 'publisher-conflict',
    publisher,
    hint: `give the plugin an id that no other publisher uses, or have ${publisher} sign it`,
  });
}

export async function acceptBundle(tx: Tx, bundle: AcceptedBundle, actor: string | null, now: string): Promise<PluginRecord> {
  const known = await findPlugin(tx, bundle.id);
  if (known) {
    refuseOtherPublisher(bundle, known.publisher);
    if (known.bundleSha256 === bundle.bundleSha256) return known;
    throw new HostError('conflict', `${bundle.id} is installed with another bundle`, {
      rule: 'already-installed',
      bundle_sha256: known.bundleSha256,
      hint: `use \`lattice plugins upgrade ${bundle.id}\``,
    });
  }
  await tx.run(
    `INSERT INTO plugins (id, publisher, name, type, version, bundle_sha256, artifact_sha256, manifest, status, accepted_by, verified_at,
       installed_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'installed', ?, ?, ?, ?, ?)`,
    [bundle.id, bundle.publisher, ...bundleColumns(bundle), actor, bundle.verifiedAt, now, now, now],
  );
  const { version, bundleSha256 } = bundle;
  audit(tx, bundle.id, { actor }, { change: 'status', from: 'verified', to: 'installed', version, bundle_sha256: bundleSha256 });
  return loadPlugin(tx, bundle.id);
}

const bundleColumns = (bundle: AcceptedBundle): string[] => [
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
  const reason = entry.reason?.slice(0, reasonMost);
  audit(tx, id, entry, { change: decision === 'restart' ? 'restart' : 'status', from: status, to: wanted, reason });
  return loadPlugin(tx, id);
}

export async function changeBundle(tx: Tx, id: string, bundle: AcceptedBundle, actor: string | null, now: string): Promise<PluginRecord> {
  const known = await loadPlugin(tx, id);
  if (bundle.id !== id)
    throw new HostError('conflict', `the bundle is of ${bundle.id}, not of ${id}`, { hint: 'name the plugin of the bundle' });
  refuseOtherPublisher(bundle, known.publisher);
  if (known.bundleSha256 === bundle.bundleSha256) return known;
  await tx.run(
    `UPDATE plugins SET name = ?, type = ?, version = ?, bundle_sha256 = ?, artifact_sha256 = ?, manifest = ?, accepted_by = ?,
       verified_at = ?, updated_at = ? WHERE id = ?`,
    [...bundleColumns(bundle), actor, bundle.verifiedAt, now, bundle.id],
  );
  const { version, bundleSha256 } = bundle;
  audit(tx, bundle.id, { actor }, { change: 'bundle', from: known.version, to: version, bundle_sha256: bundleSha256 });
  return loadPlugin(tx, bundle.id);
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

function audit(tx: Tx, plugin: string, entry: StatusEntry, summary: Record<string, unknown>): void {
  tx.audit({ kind: 'plugin.status', plugin, actor: entry.actor, code: entry.code ?? null, summary: JSON.stringify(summary) });
}
