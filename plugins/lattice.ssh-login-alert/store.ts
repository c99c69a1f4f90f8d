import { applyChanges, type Change, createState, parseState, parseUser, type State, type User, writeState } from './state.ts';

/** The part of the host that keeps entries. */
export type Kv = {
  get(params: { key: string }): Promise<{ value: string | null; revision: number }>;
  put(params: { key: string; value: string; if_revision?: number }): Promise<{ revision: number }>;
  delete(params: { key: string }): Promise<{ deleted: boolean }>;
};
export type Say = (level: 'info' | 'warn' | 'error', message: string) => Promise<void>;

const stateKey = 'state';
const tries = 20; // a conflict means that another call got ahead; each time one of them does
export const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

export function createStore(kv: Kv, say: Say) {
  let redoneAt = -1; // the revision whose `redo` this process has done, so that it is not done again for nothing

  async function load(): Promise<{ state: State; revision: number }> {
    const { value, revision } = await kv.get({ key: stateKey });
    const state = value === null ? createState() : parseState(value);
    if (state !== null) return { state, revision };
    await say('error', 'the stored state cannot be read; starting anew, so known logins will be reported once more');
    return { state: createState(), revision };
  }

  async function readUser(key: string, name: string): Promise<{ user: User; revision: number }> {
    const { value, revision } = await kv.get({ key });
    return { user: (value === null ? null : parseUser(value)) ?? { version: 1, name, sources: [] }, revision };
  }

  /** Does `attempt` until nobody got in between. */
  async function untilStored<T>(attempt: () => Promise<T>): Promise<T> {
    for (let count = 1; ; count++) {
      try {
        return await attempt();
      } catch (error) {
        if (codeOf(error) !== 'conflict' || count === tries) throw error;
      }
    }
  }

  const updateUser = (key: string, changes: readonly Change[], sourcesPerUser: number) =>
    untilStored(async () => {
      const { user, revision } = await readUser(key, changes[0]?.name ?? '');
      const next = applyChanges(user, changes, sourcesPerUser);
      if (JSON.stringify(next) !== JSON.stringify(user)) await kv.put({ key, value: JSON.stringify(next), if_revision: revision });
    });

  /** Makes the changes that a stored state promises for the users' entries. Doing it again changes nothing. */
  async function redoOnce({ redo }: State, revision: number, sourcesPerUser: number): Promise<void> {
    if (revision === redoneAt) return;
    for (const key of redo.evicted) await kv.delete({ key });
    for (const [key, ofUser] of Map.groupBy(redo.changes, (change) => change.key)) await updateUser(key, ofUser, sourcesPerUser);
    redoneAt = revision;
  }

  return {
    load,
    readUser: async (key: string, name: string): Promise<User> => (await readUser(key, name)).user,
    /**
     * Changes the state by compare-and-set. What the stored state promises for the users' entries is done first, so that `change` sees
     * them as they should be even when the last one crashed in between. `change` answers null to leave the state as it is.
     */
    update: <T>(
      sourcesPerUser: number,
      change: (state: State) => Promise<{ state: State; answer: T } | { state: null; answer: T }>,
    ): Promise<T> =>
      untilStored(async () => {
        const { state, revision } = await load();
        await redoOnce(state, revision, sourcesPerUser);
        const { state: next, answer } = await change({ ...state, redo: { changes: [], evicted: [] } });
        if (next === null) return answer;
        const stored = await kv.put({ key: stateKey, value: writeState(next), if_revision: revision });
        await redoOnce(next, stored.revision, sourcesPerUser);
        return answer;
      }),
  };
}
export type Store = ReturnType<typeof createStore>;

/** The key of a user's entry. A name that a key may not hold, or that would look like another key, goes by its hash. */
export async function userKey(name: string): Promise<string> {
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(name)) return `user:${name}`;
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(name));
  return `user~${[...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
