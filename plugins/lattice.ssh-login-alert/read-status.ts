import type { Config } from './read-config.ts';
import type { Store } from './store.ts';
import { sanitise } from './write-alert.ts';

/** What an operator looks at: the counters, the users that logged in last, and what is being counted or waits to be sent. */
export async function readStatus(store: Store, config: Config, limit: number) {
  const { state } = await store.load();
  const recent = Object.entries(state.users)
    .sort(([, a], [, b]) => b - a)
    .slice(0, limit);
  const users = [];
  for (const [key] of recent) {
    const { name, sources } = await store.readUser(key, '');
    users.push({ user: sanitise(name, 400), sources: sources.map(({ source, logins, last }) => ({ source, logins, last })) });
  }
  return {
    counters: state.counters,
    known_users: Object.keys(state.users).length,
    users,
    counting: { sources: Object.keys(state.bySource).length, users: Object.keys(state.byUser).length },
    pending: state.pending.map(({ ref, kind, title }) => ({ ref, kind, title })),
    channel: config.channel,
  };
}
