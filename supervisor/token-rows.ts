import { hash, randomBytes } from 'node:crypto';
import { HostError } from '../protocol/errors.ts';
import { parseOwnJson } from '../protocol/parse-json.ts';
import type { Scope } from '../protocol/scopes.ts';
import type { Database, Sql, Tx } from './database.ts';

export type Caller = { id: string; name: string; scopes: Scope[]; plugin: string | null };
export type TokenRecord = Caller & { createdBy: string | null; createdAt: string; expiresAt: string | null; revokedAt: string | null };
/** A live token in memory, under the hash of its text. */
export type LiveToken = Caller & { hash: string; expiresAt: string | null; adminFile: boolean };
export type NewToken = { token: string; live: LiveToken };

type Stored = Omit<TokenRecord, 'scopes'> & { scopes: string; hash: string; adminFile: number };

const columns = `id, name, hash, scopes, plugin, admin_file AS adminFile, created_by AS createdBy, created_at AS createdAt,
  expires_at AS expiresAt, revoked_at AS revokedAt`;

export const isInForce = (token: { expiresAt: string | null }, now: string): boolean => token.expiresAt === null || token.expiresAt > now;

export function makeToken(request: Omit<Caller, 'id'> & { expiresAt: string | null }, adminFile: boolean): NewToken {
  const token = `lat_${randomBytes(32).toString('base64url')}`;
  const { name, plugin, expiresAt } = request;
  const live = {
    id: `t-${randomBytes(8).toString('hex')}`,
    name,
    scopes: request.scopes,
    plugin,
    expiresAt,
    hash: hash('sha256', token),
    adminFile,
  };
  return { token, live };
}

export async function insertToken(tx: Tx, live: LiveToken, by: { actor: string | null; now: string; change: string }): Promise<void> {
  await tx.run(
    'INSERT INTO tokens (id, name, hash, scopes, plugin, admin_file, created_by, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    [live.id, live.name, live.hash, JSON.stringify(live.scopes), live.plugin, live.adminFile ? 1 : 0, by.actor, by.now, live.expiresAt],
  );
  const summary = { change: by.change, token: live.id, name: live.name, scopes: live.scopes, expires_at: live.expiresAt };
  tx.audit({ kind: 'token.change', plugin: live.plugin, actor: by.actor, summary: JSON.stringify(summary) });
}

export async function revokeToken(tx: Tx, id: string, actor: string | null, now: string): Promise<void> {
  const rows = await tx.all<Stored>(`SELECT ${columns} FROM tokens WHERE revoked_at IS NULL OR id = ?`, [id]);
  const token = rows.find((row) => row.id === id);
  if (!token) throw new HostError('not-found', `there is no token ${id}`, { hint: 'see `lattice token list`' });
  if (token.revokedAt !== null) return;
  const administers = (row: Stored) => isInForce(row, now) && parseOwnJson<Scope[]>(row.scopes).includes('token:admin');
  if (administers(token) && !rows.some((row) => row.id !== id && row.revokedAt === null && administers(row))) {
    const hint = 'create another token with the scope token:admin first, or use `lattice token reset`';
    throw new HostError('conflict', `${id} is the last token that may manage tokens`, { rule: 'last-admin-token', hint });
  }
  await tx.run('UPDATE tokens SET revoked_at = ? WHERE id = ?', [now, id]);
  tx.audit({
    kind: 'token.change',
    plugin: token.plugin,
    actor,
    summary: JSON.stringify({ change: 'revoke', token: id, name: token.name }),
  });
}

export async function readLive(database: Database): Promise<Map<string, LiveToken>> {
  const rows = await database.read.all<Stored>(`SELECT ${columns} FROM tokens WHERE revoked_at IS NULL`);
  return new Map(
    rows.map(({ id, name, plugin, expiresAt, ...row }) => [
      row.hash,
      { id, name, plugin, expiresAt, hash: row.hash, scopes: parseOwnJson(row.scopes), adminFile: row.adminFile === 1 },
    ]),
  );
}

export async function listTokens(sql: Sql): Promise<TokenRecord[]> {
  const rows = await sql.all<Stored>(`SELECT ${columns} FROM tokens ORDER BY created_at, id`);
  return rows.map(({ hash: _hash, adminFile: _adminFile, ...rest }) => ({ ...rest, scopes: parseOwnJson(rest.scopes) }));
}
