import { hash } from 'node:crypto';
import { HostError } from '../protocol/errors.ts';
import { idPattern } from '../protocol/manifest.ts';
import { type Scope, scopes, scopeTable } from '../protocol/scopes.ts';
import { createAdminToken } from './admin-token.ts';
import { type Clock, timestamp } from './clock.ts';
import type { Database, Tx } from './database.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import type { Safeguards } from './safeguards.ts';
import {
  type Caller,
  insertToken,
  isInForce,
  type LiveToken,
  listTokens,
  makeToken,
  readLive,
  revokeToken,
  type TokenRecord,
} from './token-rows.ts';

export type TokenRequest = { name: string; scopes: readonly string[]; plugin?: string | null; expiresAt?: string | null };
export type TokenSafeguards = Safeguards<readonly TokenRecord[], string>;
export type Tokens = ReturnType<typeof createTokens>;

const tokenPattern = /^lat_[A-Za-z0-9_-]{43}$/;
const namePattern = /^[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u; // it stands in lists and log lines

/** Tokens are kept as hashes only: their text is given out once, or stands in the admin's file. */
export function createTokens({ database, clock, reach = noFailpoints.reach }: { database: Database; clock: Clock; reach?: Reach }) {
  let loading: Promise<Map<string, LiveToken>> | undefined;
  let loaded: Map<string, LiveToken> | undefined;
  function loadLive(): Promise<Map<string, LiveToken>> {
    loading ??= readLive(database).then(
      (tokens) => {
        loaded = tokens;
        return tokens;
      },
      (error) => {
        loading = undefined; // the next caller tries again
        throw error;
      },
    );
    return loading;
  }

  /** A change with the safeguards of its caller, who saw the list of all. */
  const change = (id: string, safeguards: TokenSafeguards, job: (tx: Tx) => Promise<void>): Promise<void> =>
    database.write(async (tx) => {
      safeguards.guard?.(await listTokens(tx));
      await job(tx);
      await safeguards.settle?.(tx, id);
    });

  async function create(
    request: TokenRequest,
    actor: string | null,
    safeguards: TokenSafeguards = {},
  ): Promise<{ id: string; token: string }> {
    const { token, live } = makeToken(checkRequest(request, clock), false);
    const tokens = await loadLive();
    await change(live.id, safeguards, (tx) => insertToken(tx, live, { actor, now: timestamp(clock), change: 'create' }));
    tokens.set(live.hash, live);
    return { id: live.id, token };
  }

  async function revoke(id: string, actor: string | null, safeguards: TokenSafeguards = {}): Promise<void> {
    const tokens = await loadLive();
    await change(id, safeguards, (tx) => revokeToken(tx, id, actor, timestamp(clock)));
    for (const live of tokens.values()) if (live.id === id) tokens.delete(live.hash);
  }

  function findAmong(tokens: Map<string, LiveToken>, token: string): LiveToken | null {
    const live = tokens.get(hash('sha256', token));
    if (!live || live.expiresAt === null) return live ?? null; // to write the time costs as much as to find the token
    return isInForce(live, timestamp(clock)) ? live : null;
  }

  /** At once where all tokens are known already, because every request asks. */
  function find(token: string): LiveToken | null | Promise<LiveToken | null> {
    if (!tokenPattern.test(token)) return null;
    return loaded ? findAmong(loaded, token) : loadLive().then((tokens) => findAmong(tokens, token));
  }

  return {
    create,
    list: () => listTokens(database.read),
    revoke,
    authenticate(token: string): Caller | null | Promise<Caller | null> {
      const live = find(token);
      return live instanceof Promise ? live.then(callerOf) : callerOf(live);
    },
    ...createAdminToken({ database, clock, find, loadLive, reach }),
  };
}

const callerOf = (live: LiveToken | null): Caller | null =>
  live && { id: live.id, name: live.name, scopes: live.scopes, plugin: live.plugin };

const isScope = (word: string): word is Scope => Object.hasOwn(scopeTable, word);

function checkRequest(request: TokenRequest, clock: Clock): Omit<Caller, 'id'> & { expiresAt: string | null } {
  const refuse = (message: string, hint: string): never => {
    throw new HostError('invalid-params', message, { hint });
  };
  if (!namePattern.test(request.name)) refuse('this is not a name for a token', 'use 1 to 64 printable characters');
  const unknown = request.scopes.find((scope) => !isScope(scope));
  if (unknown !== undefined || request.scopes.length === 0)
    refuse('a token needs scopes, all of them known', `use some of ${scopes.join(' ')}`);
  if (request.plugin && !idPattern.test(request.plugin)) refuse('this is not the id of a plugin', 'see `lattice plugins list`');
  const expiresMs = request.expiresAt ? Date.parse(request.expiresAt) : null;
  if (expiresMs !== null && !(expiresMs > clock.wallMs())) refuse('the expiry is not a time to come', 'write it like 2027-01-31T12:00:00Z');
  return {
    name: request.name,
    scopes: [...new Set(request.scopes.filter(isScope))],
    plugin: request.plugin || null,
    expiresAt: expiresMs === null ? null : new Date(expiresMs).toISOString(),
  };
}
