import { createHmac, hash } from 'node:crypto';
import type { Clock } from './clock.ts';
import type { Database, Tx } from './database.ts';

export type KeptAnswer = { status: number; etag: string | null; body: string | null };
/** A request under the key of its caller. */
export type Repeatable = { token: string; key: string; request: string };
/**
 * What is known of a request: nothing (so it is to be done now), that the key was another request's, that it is being done, that a crash cut it
 * off, that a crash came between the change and its answer, or what was answered.
 */
export type Known = { state: 'new' | 'other' | 'running' | 'cut-off' | 'changed' } | ({ state: 'answered' } & KeptAnswer);

type Stored = { fingerprint: string; state: 'begun' | 'changed' | 'answered'; status: number; etag: string | null; body: string | null };

export const keptMs = 24 * 60 * 60 * 1000;
export const keptOfToken = 1000;
export const keptBodyBytes = 64 * 1024;

/** What must not be done twice: kept in the database, so that it holds over a restart of the service. */
export function createRepeatedRequests({ database, clock }: { database: Database; clock: Clock }) {
  const running = new Set<string>();
  const bornMs = clock.wallMs() - clock.monotonicMs();
  const nowMs = (): number => Math.floor(bornMs + clock.monotonicMs()); // what is set anew while the service runs makes no key old

  return {
    /** Claims the key, durably, before anything is done. `mayRepeat`: what a crash cut off before its change is done again. */
    async begin(asked: Repeatable, mayRepeat: boolean): Promise<{ id: string; known: Known }> {
      const id = idOf(asked);
      const claimed = (known: Stored): boolean => known.state === 'begun' && !running.has(id) && mayRepeat;
      try {
        return await database.write(async (tx) => {
          await prune(tx, asked.token, nowMs());
          const fingerprint = fingerprintOf(asked);
          const known = await tx.get<Stored>('SELECT fingerprint, state, status, etag, body FROM idempotency_keys WHERE id = ?', [id]);
          if (known && known.fingerprint !== fingerprint) return { id, known: { state: 'other' } };
          if (known && !claimed(known)) return { id, known: tell(known, running.has(id)) };
          if (!known)
            await tx.run("INSERT INTO idempotency_keys (id, token, fingerprint, state, begun_ms) VALUES (?, ?, ?, 'begun', ?)", [
              id,
              asked.token,
              fingerprint,
              nowMs(),
            ]);
          running.add(id);
          return { id, known: { state: 'new' } };
        });
      } catch (error) {
        running.delete(id); // the claim was not committed
        throw error;
      }
    },

    /** In the transaction of the change: that it was made, with the answer where that is known there. */
    async settle(tx: Tx, id: string, answer: KeptAnswer | null): Promise<void> {
      if (answer) await keep(tx, id, answer, ['begun']);
      else await tx.run("UPDATE idempotency_keys SET state = 'changed' WHERE id = ?", [id]);
    },

    /**
     * Keeps what is answered. An answer that is not final is kept only of a change that was made; else the next with this key is the first
     * again. The database says which it was: a commit that failed may have been one.
     */
    conclude: (id: string, answer: KeptAnswer, isFinal: boolean): Promise<void> =>
      database.write(async (tx) => {
        await keep(tx, id, answer, isFinal ? ['begun', 'changed'] : ['changed']);
        await tx.run("DELETE FROM idempotency_keys WHERE id = ? AND state = 'begun'", [id]);
      }),

    /** Whatever became of it, nobody is at it any more. */
    end: (id: string): void => void running.delete(id),
  };
}

export type RepeatedRequests = ReturnType<typeof createRepeatedRequests>;

/** Two tokens with one key are two requests. A NUL is in no id of a token. */
const idOf = ({ token, key }: Repeatable): string => hash('sha256', `${token}\0${key}`);

/** By means of the key, which is not kept: from what lies in the database nobody can try out what a request said. */
const fingerprintOf = ({ key, request }: Repeatable): string => createHmac('sha256', key).update(request).digest('hex');

function tell({ state, status, etag, body }: Stored, isRunning: boolean): Known {
  if (isRunning) return { state: 'running' };
  if (state === 'begun') return { state: 'cut-off' };
  return state === 'changed' ? { state } : { state, status, etag, body };
}

async function keep(tx: Tx, id: string, { status, etag, body }: KeptAnswer, from: readonly string[]): Promise<void> {
  const kept = body !== null && Buffer.byteLength(body) <= keptBodyBytes ? body : null;
  await tx.run(
    `UPDATE idempotency_keys SET state = 'answered', status = ?, etag = ?, body = ?
     WHERE id = ? AND state IN (SELECT value FROM json_each(?))`,
    [status, etag, kept, id, JSON.stringify(from)],
  );
}

/** The oldest go first; what is only begun may be under way. */
async function prune(tx: Tx, token: string, nowMs: number): Promise<void> {
  await tx.run('DELETE FROM idempotency_keys WHERE begun_ms < ?', [nowMs - keptMs]);
  await tx.run(
    `DELETE FROM idempotency_keys WHERE state <> 'begun' AND id IN
       (SELECT id FROM idempotency_keys WHERE token = ? ORDER BY begun_ms DESC LIMIT -1 OFFSET ?)`,
    [token, keptOfToken - 1],
  );
}
