import { hash } from 'node:crypto';
import type { Sql } from '../database.ts';

type Accepted = { id: string; version: string; bundle_sha256: string; manifest: string };

/** A bundle is named by the SHA-256 of its manifest, so each stored manifest can be held against the name that was consented to. */
export async function findChangedManifests(sql: Pick<Sql, 'all'>): Promise<{ id: string; version: string }[]> {
  const tables = await sql.all<{ name: string }>("SELECT name FROM sqlite_schema WHERE name IN ('plugins', 'former_bundles')");
  const changed: { id: string; version: string }[] = [];
  for (const { name } of tables) {
    const rows = await sql.all<Accepted>(
      `SELECT ${name === 'plugins' ? 'id' : 'plugin AS id'}, version, bundle_sha256, manifest FROM ${name}`,
    );
    for (const { id, version, bundle_sha256, manifest } of rows)
      if (hash('sha256', manifest) !== bundle_sha256) changed.push({ id, version });
  }
  return changed;
}
