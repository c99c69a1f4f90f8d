import { HostError } from '../protocol/errors.ts';
import { parseOwnJson } from '../protocol/parse-json.ts';
import type { Sql } from './database.ts';
import { type History, readHistories } from './plugin-history.ts';
import type { Health, PluginRecord } from './plugin-store.ts';

type Stored = Omit<PluginRecord, 'config' | 'operatorEgress' | 'health' | keyof History> & {
  config: string;
  operatorEgress: string;
  exits: string;
  crashTimesMs: string;
  broken: number;
  generation: number;
};

const columns = `id, owner, publisher, name, type, version, bundle_sha256 AS bundleSha256, artifact_sha256 AS artifactSha256, manifest, status,
  config, operator_egress AS operatorEgress, accepted_by AS acceptedBy, verified_at AS verifiedAt, installed_at AS installedAt, activated_at AS activatedAt,
  disabled_at AS disabledAt, created_at AS createdAt, updated_at AS updatedAt, exits, crash_times_ms AS crashTimesMs, broken, generation`;

export async function readPlugins(sql: Sql): Promise<PluginRecord[]> {
  const stored = await sql.all<Stored>(`SELECT ${columns} FROM plugins ORDER BY id`);
  const historyOf = await readHistories(sql, null);
  return stored.map((row) => parseStored(row, historyOf(row.id)));
}

export async function findPlugin(sql: Sql, id: string): Promise<PluginRecord | undefined> {
  const stored = await sql.get<Stored>(`SELECT ${columns} FROM plugins WHERE id = ?`, [id]);
  return stored && parseStored(stored, (await readHistories(sql, id))(id));
}

export async function loadPlugin(sql: Sql, id: string): Promise<PluginRecord> {
  const record = await findPlugin(sql, id);
  if (!record)
    throw new HostError('not-found', `no plugin ${id} is installed`, { hint: 'see `lattice plugins list`, and install it first' });
  return record;
}

function parseStored({ exits, crashTimesMs, broken, generation, config, operatorEgress, ...rest }: Stored, history: History): PluginRecord {
  const health: Health = { exits: parseOwnJson(exits), crashTimesMs: parseOwnJson(crashTimesMs), broken: broken === 1, generation };
  return { ...rest, ...history, config: parseOwnJson(config), operatorEgress: parseOwnJson(operatorEgress), health };
}
