import type { Origin } from './address.ts';
import { openConnection, takeCounted } from './connections.ts';
import { addFailures, createWindow, lastSlot, type Window } from './failure-window.ts';
import { advance } from './feed-clock.ts';
import type { SshdEvent } from './parse-sshd-line.ts';
import { raise, raiseBurst } from './raise-alert.ts';
import type { Config } from './read-config.ts';
import { applyChanges, type Change, evict, type Feed, type State, stateLimits, type User } from './state.ts';
import { writeBurstAlert, writeLoginAlert } from './write-alert.ts';

export type Entry = { event: SshdEvent; timeMs: number | null; time: string };
/** `users` holds the entry of every user that logs in, by the key that `keys` gives for its name. */
export type Batch = {
  feed: string;
  id: string;
  entries: readonly Entry[];
  users: ReadonlyMap<string, User>;
  keys: ReadonlyMap<string, string>;
};
export type Outcome = { state: State; logins: number; failures: number; alerts: number };

type Work = { state: State; feed: Feed; config: Config; keys: Batch['keys']; users: Map<string, User>; changes: Map<string, Change> };
type Login = Extract<SshdEvent, { kind: 'login' }>;
type Failure = { user: string | null; known: boolean; origin: Origin; times: number };

const feedKey = (feed: string): string => `feed:${feed}`; // a prefix, so that no label is a name that objects have of their own
export const hasBatch = (state: State, feed: string, id: string): boolean => state.feeds[feedKey(feed)]?.batches.includes(id) ?? false;

/** What a batch changes: the next state, with the alerts it raises among the pending. Changes nothing that it was given. */
export function decideAlerts(before: State, batch: Batch, config: Config): Outcome {
  const state = structuredClone(before);
  const work: Work = { state, feed: openFeed(state, batch), config, keys: batch.keys, users: new Map(batch.users), changes: new Map() };
  for (const entry of batch.entries) {
    advance(work.feed, entry.timeMs);
    decideEntry(work, entry);
  }
  bound(work);
  const since = (name: 'logins' | 'failures' | 'alerts') => state.counters[name] - before.counters[name];
  return { state, logins: since('logins'), failures: since('failures'), alerts: since('alerts') };
}

function openFeed(state: State, { feed: name, id }: Batch): Feed {
  const key = feedKey(name);
  state.feeds[key] ??= { id: ++state.sequence, batches: [], rawMs: null, nowMs: 0, used: 0, hourMs: 0, burstAlerts: 0 };
  const feed = state.feeds[key];
  feed.used = ++state.sequence;
  feed.batches = [...feed.batches, id].slice(-stateLimits.batchesPerFeed);
  return feed;
}

function decideEntry(work: Work, { event, time }: Entry): void {
  switch (event.kind) {
    case 'login':
      return addLogin(work, event, time);
    case 'failure':
      if (event.method === 'none') return; // a client asks so which methods there are
      return addFailure(work, { ...event, times: event.times - takeCounted(work.state, event.origin) }, time);
    case 'invalid-user':
      return openConnection(work.state, event.origin, true) ? addFailure(work, { ...event, known: false }, time) : undefined;
    case 'gave-up':
      return openConnection(work.state, event.origin, false) ? addFailure(work, event, time) : undefined;
  }
}

function addLogin({ state, config, keys, users, changes }: Work, login: Login, time: string): void {
  const key = keys.get(login.user);
  const user = key === undefined ? undefined : users.get(key);
  if (key === undefined || user === undefined) return;
  const { source } = login.origin;
  const isFirst = user.sources.length === 0;
  const isNew = !user.sources.some((held) => held.source === source);
  if (isNew && !(isFirst && config.learnFirst)) raise(state, 'login', (ref) => writeLoginAlert({ ...login, time }, isFirst, ref));
  const logins = (changes.get(`${key} ${source}`)?.logins ?? 0) + 1;
  const change = { key, name: login.user, source, sequence: ++state.sequence, logins, last: time };
  changes.set(`${key} ${source}`, change);
  users.set(key, applyChanges(user, [change], config.sourcesPerUser));
  state.users[key] = state.sequence;
  state.counters.logins++;
}

function addFailure({ state, feed, config }: Work, { user, known, origin: { source }, times }: Failure, time: string): void {
  if (times === 0) return;
  state.counters.failures += times;
  const minutes = config.failureWindowMinutes;
  const count = (table: Record<string, Window>, key: string, subject: { source: string } | { user: string }) => {
    table[key] ??= createWindow();
    const window = table[key];
    const held = addFailures(window, feed.nowMs, times, minutes);
    if (held * 2 < config.failureThreshold) window.alerted = false; // ebbed away: what comes next is another burst
    if (held < config.failureThreshold || window.alerted) return;
    window.alerted = true;
    raiseBurst(state, feed, config, (ref) => writeBurstAlert(subject, held, minutes, time, ref));
  };
  count(state.bySource, `${feed.id}:${source}`, { source });
  if (user !== null && (known || config.countInvalidUsers)) count(state.byUser, `${feed.id}:${user.slice(0, 128)}`, { user });
}

function bound({ state, changes }: Work): void {
  evict(state.feeds, stateLimits.feeds, (feed) => feed.used);
  evict(state.bySource, stateLimits.windows, lastSlot);
  evict(state.byUser, stateLimits.windows, lastSlot);
  evict(state.connections, stateLimits.connections, (connection) => connection.used);
  state.redo = { changes: [...changes.values()], evicted: evict(state.users, stateLimits.users, (used) => used) };
}
