import { type Context, definePlugin } from '../../runner-child/define-plugin.ts';
import { type Batch, decideAlerts, type Entry, hasBatch } from './decide-alerts.ts';
import { createDelivery } from './deliver-alerts.ts';
import { parseSshdMessage } from './parse-sshd-line.ts';
import { readConfig } from './read-config.ts';
import { readLogLine } from './read-log-line.ts';
import { readPayload, readStatusLimit } from './read-payload.ts';
import { readStatus } from './read-status.ts';
import type { Counters, State, User } from './state.ts';
import { createStore, type Say, type Store, userKey } from './store.ts';

type Tally = Pick<Counters, 'lines' | 'understood' | 'not_understood' | 'other_programs' | 'not_believed'>;

export default definePlugin(createSshLoginAlert());

function createSshLoginAlert() {
  const inTurn = createTurns();
  let parts: { host: Context['host']; store: Store; deliver: ReturnType<typeof createDelivery> } | null = null;

  function open({ host }: Context) {
    if (parts?.host === host) return parts;
    const say: Say = async (level, message) => void (await host.log.write({ level, message }).catch(() => {})); // a full log must stop no alert
    parts = { host, store: createStore(host.kv, say), deliver: createDelivery({ say }) };
    return parts;
  }

  async function ingest(payload: unknown, context: Context) {
    const { source, lines, cursor } = readPayload(payload);
    const config = readConfig(context.config);
    const { store, deliver } = open(context);
    const { entries, tally } = readLines(lines, source);
    const outcome = await store.update(config.sourcesPerUser, async (state) => {
      if (hasBatch(state, source, cursor)) return { state: null, answer: { repeated: true, logins: 0, failures: 0, alerts: 0 } };
      const batch: Batch = { feed: source, id: cursor, entries, ...(await readUsers(store, entries)) };
      const { state: next, ...counts } = decideAlerts(withTally(state, tally), batch, config);
      return { state: next, answer: { repeated: false, ...counts } };
    });
    const pending = await deliver(store, (message) => context.host.notify.send(message), config, context.signal);
    return { ...tally, ...outcome, pending };
  }

  return {
    onStart: ({ config }: Pick<Context, 'config'>) => void readConfig(config), // a wrong setting is told when the plugin is activated, not at the first line
    services: {
      feed: {
        ingest: (payload: unknown, context: Context) => inTurn(() => ingest(payload, context)),
        status: (payload: unknown, context: Context) =>
          readStatus(open(context).store, readConfig(context.config), readStatusLimit(payload)),
      },
    },
  };
}

function readLines(lines: readonly string[], source: string): { entries: Entry[]; tally: Tally } {
  const tally: Tally = { lines: lines.length, understood: 0, not_understood: 0, other_programs: 0, not_believed: 0 };
  const entries: Entry[] = [];
  for (const text of lines) {
    const line = readLogLine(text, source);
    const event = line?.program === 'sshd' ? parseSshdMessage(line.message) : null;
    if (line?.program === 'other') tally.other_programs++;
    else if (line?.program === 'not-believed') tally.not_believed++;
    else if (line?.program !== 'sshd' || event === null) tally.not_understood++;
    else entries.push({ event, timeMs: line.timeMs, time: line.time });
  }
  tally.understood = entries.length;
  return { entries, tally };
}

async function readUsers(store: Store, entries: readonly Entry[]): Promise<Pick<Batch, 'users' | 'keys'>> {
  const keys = new Map<string, string>();
  const users = new Map<string, User>();
  for (const { event } of entries) {
    if (event.kind !== 'login' || keys.has(event.user)) continue;
    const key = await userKey(event.user);
    keys.set(event.user, key);
    users.set(key, await store.readUser(key, event.user));
  }
  return { keys, users };
}

function withTally(state: State, tally: Tally): State {
  const counters = { ...state.counters };
  for (const name of ['lines', 'understood', 'not_understood', 'other_programs', 'not_believed'] as const) counters[name] += tally[name];
  return { ...state, counters };
}

/** One batch after the other: two at once would only meet in the store and begin again. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(job: () => Promise<T>): Promise<T> => {
    const mine = last.then(job);
    last = mine.catch(() => {});
    return mine;
  };
}
