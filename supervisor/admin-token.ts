import { constants } from 'node:fs';
import { link, lstat, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../protocol/errors.ts';
import { scopes } from '../protocol/scopes.ts';
import { type Clock, timestamp } from './clock.ts';
import type { Database, Tx } from './database.ts';
import { createPrivateFile, syncDirectory } from './durable-file.ts';
import type { Reach } from './failpoints.ts';
import { insertToken, isInForce, type LiveToken, makeToken } from './token-rows.ts';

export type AdminFile = { file: string; created: boolean; problem?: string };
type Found = { text: string; mode: number } | 'absent' | 'odd';
type Deps = {
  database: Database;
  clock: Clock;
  find(token: string): LiveToken | null | Promise<LiveToken | null>;
  loadLive(): Promise<Map<string, LiveToken>>;
  reach: Reach;
};

const resetHint = 'run `lattice token reset` to have a new one written';
const nextName = (file: string): string => `${file}.new`;
const mostBytes = 256;

/**
 * The first token, in a file that only the owner reads. Its text is written beside the place, then its hash is committed, then it is
 * given its name: after a crash at any moment the next start finishes, or begins anew.
 */
export function createAdminToken(deps: Deps) {
  const { database, clock, find, loadLive, reach } = deps;

  /** A text beside the place that is a live token was cut off before it got its name. */
  async function finish(file: string, dataDir: string): Promise<void> {
    const beside = await readPrivate(nextName(file));
    if (beside === 'absent') return;
    const current = await readPrivate(file);
    const isNext = typeof beside === 'object' && (await find(beside.text)) !== null;
    const isTaken = current === 'odd' || (typeof current === 'object' && (await find(current.text)) !== null);
    if (isNext && !isTaken) await rename(nextName(file), file);
    else await rm(nextName(file), { force: true });
    reach('token.named');
    await syncDirectory(dataDir);
  }

  async function issue(file: string, actor: string | null, change: 'create' | 'reset'): Promise<void> {
    const { token, live } = makeToken({ name: 'admin', scopes: [...scopes], plugin: null, expiresAt: null }, true);
    await rm(nextName(file), { force: true });
    await createPrivateFile(nextName(file), `${token}\n`, reach);
    await syncDirectory(dirname(file)); // a hash that outlives its text would lock everybody out
    reach('token.written');
    const tokens = await loadLive();
    await database.write(async (tx) => {
      const now = timestamp(clock);
      if (change === 'reset') await revokeAdminFiles(tx, now);
      await insertToken(tx, live, { actor, now, change });
    });
    reach('token.recorded');
    for (const old of tokens.values()) if (old.adminFile && change === 'reset') tokens.delete(old.hash);
    tokens.set(live.hash, live);
  }

  async function findProblem(file: string, live: readonly LiveToken[]): Promise<string | undefined> {
    const found = await readPrivate(file);
    if (found === 'odd') return `admin.token is not a plain file that the service may read: move it away, then ${resetHint}`;
    if (found === 'absent') return live.some((token) => token.adminFile) ? `admin.token is gone: ${resetHint}` : undefined;
    if ((await find(found.text)) === null) return `admin.token holds no token that is in force: ${resetHint}`;
    return found.mode & 0o077
      ? 'admin.token can be read by others: run chmod 600 on it, and `lattice token reset` if somebody did'
      : undefined;
  }

  return {
    /** Writes the file only when nobody may manage tokens, and never over anything. */
    ensureAdmin: (dataDir: string): Promise<AdminFile> =>
      withFileErrors(async () => {
        const file = join(dataDir, 'admin.token');
        await finish(file, dataDir);
        const now = timestamp(clock);
        const live = [...(await loadLive()).values()].filter((token) => isInForce(token, now));
        const isAdministered = live.some((token) => token.scopes.includes('token:admin'));
        if (isAdministered || (await readPrivate(file)) !== 'absent') {
          const problem = await findProblem(file, live);
          return problem === undefined ? { file, created: false } : { file, created: false, problem };
        }
        await issue(file, null, 'create');
        await link(nextName(file), file); // unlike a rename it replaces nothing
        await rm(nextName(file));
        reach('token.named');
        await syncDirectory(dataDir);
        return { file, created: true };
      }),
    /** Revokes what any such file held and puts a new token in its place. */
    resetAdmin: (dataDir: string, actor: string | null): Promise<AdminFile> =>
      withFileErrors(async () => {
        const file = join(dataDir, 'admin.token');
        await issue(file, actor, 'reset');
        await rename(nextName(file), file);
        await syncDirectory(dataDir);
        return { file, created: true };
      }),
  };
}

async function revokeAdminFiles(tx: Tx, now: string): Promise<void> {
  await tx.run('UPDATE tokens SET revoked_at = ? WHERE admin_file = 1 AND revoked_at IS NULL', [now]);
}

/** Follows no link and waits at no pipe: whoever can write into the directory must not choose what is read. */
export async function readPrivate(file: string): Promise<Found> {
  const stats = await lstat(file).catch(() => null);
  if (stats === null) return 'absent';
  if (!stats.isFile()) return 'odd';
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(mostBytes), 0, mostBytes, 0);
      return { text: buffer.toString('utf8', 0, bytesRead).trim(), mode: stats.mode };
    } finally {
      await handle.close();
    }
  } catch {
    return 'odd';
  }
}

async function withFileErrors<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof HostError || !(error instanceof Error && 'code' in error)) throw error;
    const hint = 'check the owner of the data directory and the space on its disk';
    throw new HostError('storage-unavailable', `admin.token cannot be written: ${error.code}`, { hint }, { cause: error });
  }
}
