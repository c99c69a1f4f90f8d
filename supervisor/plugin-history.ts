import { parseOwnJson } from '../protocol/parse-json.ts';
import type { Sql, Tx } from './database.ts';
import type { AcceptedBundle, Consent, ConsentKind, PluginRecord, Terms } from './plugin-store.ts';

const consentsShown = 50; // of each plugin, the newest; the table keeps all
const formerKept = 3; // each is a staged copy on the disk

type StoredConsent = Omit<Consent, keyof Terms> & { plugin: string; capabilities: string; egress: string };
type StoredFormer = AcceptedBundle & { plugin: string };
export type History = Pick<PluginRecord, 'consents' | 'former'>;

/** What was consented to and what was replaced, of one plugin or of all, the newest first. */
export async function readHistories(sql: Sql, id: string | null): Promise<(plugin: string) => History> {
  const [where, params] = id === null ? ['', []] : ['WHERE plugin = ?', [id]];
  const consents = await sql.all<StoredConsent>(
    `SELECT plugin, time, kind, actor, publisher, version, bundle_sha256 AS bundleSha256, capabilities, egress
     FROM (SELECT *, row_number() OVER (PARTITION BY plugin ORDER BY seq DESC) AS place FROM consents ${where})
     WHERE place <= ${consentsShown} ORDER BY seq DESC`,
    params,
  );
  const former = await sql.all<StoredFormer>(
    `SELECT plugin, publisher, name, type, version, bundle_sha256 AS bundleSha256, artifact_sha256 AS artifactSha256, manifest,
       verified_at AS verifiedAt FROM former_bundles ${where} ORDER BY seq DESC`,
    params,
  );
  const consentsOf = Map.groupBy(consents, ({ plugin }) => plugin);
  const formerOf = Map.groupBy(former, ({ plugin }) => plugin);
  return (plugin) => ({
    consents: (consentsOf.get(plugin) ?? []).map(parseConsent),
    former: (formerOf.get(plugin) ?? []).map(({ plugin: ofPlugin, ...bundle }) => ({ ...bundle, id: ofPlugin })),
  });
}

const parseConsent = ({ plugin: _plugin, capabilities, egress, ...rest }: StoredConsent): Consent => ({
  ...rest,
  capabilities: parseOwnJson(capabilities),
  egress: parseOwnJson(egress),
});

type Consented = { kind: ConsentKind; actor: string | null; time: string };

export async function addConsent(tx: Tx, bundle: AcceptedBundle, terms: Terms, { kind, actor, time }: Consented): Promise<void> {
  const { capabilities, egress } = terms;
  await tx.run(
    `INSERT INTO consents (plugin, time, kind, actor, publisher, version, bundle_sha256, capabilities, egress)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      bundle.id,
      time,
      kind,
      actor,
      bundle.publisher,
      bundle.version,
      bundle.bundleSha256,
      JSON.stringify([...capabilities].sort()),
      JSON.stringify(egress),
    ],
  );
  tx.reach('plugin.consented');
}

/** The bundle that is replaced becomes the first to go back to. */
export async function pushFormer(tx: Tx, bundle: AcceptedBundle): Promise<void> {
  await tx.run(
    `INSERT INTO former_bundles (plugin, publisher, name, type, version, bundle_sha256, artifact_sha256, manifest, verified_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      bundle.id,
      bundle.publisher,
      bundle.name,
      bundle.type,
      bundle.version,
      bundle.bundleSha256,
      bundle.artifactSha256,
      bundle.manifest,
      bundle.verifiedAt,
    ],
  );
  await tx.run(
    `DELETE FROM former_bundles WHERE plugin = ? AND seq NOT IN
       (SELECT seq FROM former_bundles WHERE plugin = ? ORDER BY seq DESC LIMIT ${formerKept})`,
    [bundle.id, bundle.id],
  );
}

/** It was gone back to, so it is not a former one any more. */
export async function popFormer(tx: Tx, id: string): Promise<void> {
  await tx.run('DELETE FROM former_bundles WHERE seq = (SELECT max(seq) FROM former_bundles WHERE plugin = ?)', [id]);
}
