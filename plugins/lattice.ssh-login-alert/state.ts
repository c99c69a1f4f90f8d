import { lastSlot, type Window } from './failure-window.ts';
import type { FeedClock } from './feed-clock.ts';

export type Alert = { ref: string; kind: 'login' | 'failures' | 'held-back'; title: string; text: string };
export type Source = { source: string; used: number; logins: number; last: string };
export type User = { version: 1; name: string; sources: Source[] };
/** One login that a user's entry must come to know. `sequence` makes applying it twice the same as once. */
export type Change = { key: string; name: string; source: string; sequence: number; logins: number; last: string };
export type Feed = FeedClock & { id: number; batches: string[]; used: number; hourMs: number; burstAlerts: number };

export const counterNames = [
  'lines',
  'understood',
  'not_understood',
  'other_programs',
  'not_believed',
  'logins',
  'failures',
  'alerts',
  'alerts_dropped',
] as const;
export type Counters = Record<(typeof counterNames)[number], number>;

/**
 * All that a batch changes, in one entry, so that it changes as a whole or not at all: what has been processed, what is being counted,
 * the alerts to send, and (`redo`) the changes of the users' own entries, which are made after this entry has been stored.
 */
export type State = {
  version: 1;
  sequence: number;
  counters: Counters;
  feeds: Record<string, Feed>;
  bySource: Record<string, Window>;
  byUser: Record<string, Window>;
  connections: Record<string, { counted: number; used: number }>;
  users: Record<string, number>; // key of the user's entry -> sequence of the last login
  redo: { changes: Change[]; evicted: string[] };
  pending: Alert[];
};

export const stateLimits = {
  feeds: 16,
  batchesPerFeed: 8,
  windows: 200,
  connections: 128,
  users: 500,
  pending: 50,
  chars: 240_000,
} as const;

export const createState = (): State => ({
  version: 1,
  sequence: 0,
  counters: Object.fromEntries(counterNames.map((name) => [name, 0])) as Counters, // the names are exactly the keys
  feeds: {},
  bySource: {},
  byUser: {},
  connections: {},
  users: {},
  redo: { changes: [], evicted: [] },
  pending: [],
});

/** Reads what this plugin stored; null when it is not that. */
export function parseState(text: string): State | null {
  const value = parseObject(text);
  return value !== null && hasShape(value, createState()) ? (value as State) : null; // its members were written by this plugin
}

export function parseUser(text: string): User | null {
  const value = parseObject(text);
  return value !== null && hasShape(value, { version: 1, name: '', sources: [] }) ? (value as User) : null; // written by this plugin
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null; // just checked
  } catch {
    return null;
  }
}

const hasShape = (value: Record<string, unknown>, like: Record<string, unknown>): boolean =>
  value.version === like.version &&
  Object.entries(like).every(
    ([name, sample]) =>
      typeof value[name] === typeof sample && value[name] !== null && Array.isArray(value[name]) === Array.isArray(sample),
  );

/** Keeps the entry under the store's cap: an attack from very many places costs the oldest counts, never the alerts. */
export function writeState(state: State): string {
  let text = JSON.stringify(state);
  for (let keep = stateLimits.windows / 2; text.length > stateLimits.chars && keep >= 1; keep /= 2) {
    evict(state.bySource, Math.floor(keep), lastSlot);
    evict(state.byUser, Math.floor(keep), lastSlot);
    evict(state.connections, Math.floor(keep), (connection) => connection.used);
    text = JSON.stringify(state);
  }
  return text;
}

/** Removes the entries with the lowest age mark until `most` are left, and returns their keys. */
export function evict<T>(table: Record<string, T>, most: number, age: (entry: T) => number): string[] {
  const keys = Object.keys(table);
  if (keys.length <= most) return [];
  const oldest = Object.entries(table)
    .sort(([, a], [, b]) => age(a) - age(b))
    .slice(0, keys.length - most)
    .map(([key]) => key);
  for (const key of oldest) delete table[key];
  return oldest;
}

/** Merges logins into a user's entry; those it already holds change nothing. Keeps the sources used last. */
export function applyChanges(user: User, changes: readonly Change[], sourcesPerUser: number): User {
  const sources = new Map(user.sources.map((entry) => [entry.source, entry]));
  for (const { source, sequence, logins, last } of changes) {
    const held = sources.get(source);
    if (held === undefined || held.used < sequence)
      sources.set(source, { source, used: sequence, logins: (held?.logins ?? 0) + logins, last });
  }
  const kept = [...sources.values()].sort((a, b) => b.used - a.used).slice(0, sourcesPerUser);
  return { ...user, sources: kept };
}
