import { defaultRates } from '../../../protocol/host-methods.ts';
import type { HostHandlers } from '../../broker.ts';
import { type Clock, createRealClock } from '../../clock.ts';
import type { Database } from '../../database.ts';
import { bucketOf } from '../../host/kv.ts';
import { createKvStore, type KvStore } from '../../kv-store.ts';
import type { Log } from '../../log.ts';
import { readPolicy } from '../../policy.ts';
import type { Fixture } from '../fixture/fixture-schema.ts';
import { createCallMatcher } from '../fixture/match-fixture.ts';
import { openMemoryDatabase } from './memory-database.ts';
import { applyFixture, type Captured, createMockHandlers } from './mock-handlers.ts';
import { createMockHttp, type MockHttpDeps } from './mock-http.ts';

export const policy = readPolicy(null, defaultRates); // what a service without a policy file allows

type Deps = {
  pluginId: string;
  fixture: Fixture;
  clock: Clock; // of delays and of the times in records
  log: Log;
  mockEverything: boolean; // whatever is fetched answers, recorded or not
  onRedirect: MockHttpDeps['onRedirect'];
  onLog(level: string, text: string): void;
  onNotification(captured: Captured): void;
  onFixtureAnswer(signal: AbortSignal): void;
};
export type StoredEntry = { bucket: string; key: string; value: string; revision: number };

/** Everything behind the broker, in memory: it is there until it is closed, whatever becomes of the plugin's processes. */
export async function createMockWorld(deps: Deps) {
  const { fixture, clock } = deps;
  // Records tell the time of the mocks; the writer's own timers must run, however that time stands.
  const database = await openMemoryDatabase({ clock: { ...createRealClock(), wallMs: clock.wallMs }, log: deps.log });
  const kv = createKvStore({ database, quota: policy.kv });
  await fillBuckets(kv, { ...bucketsOf(fixture), [bucketOf(deps.pluginId)]: fixture.kv ?? {} });
  const matcher = createCallMatcher(fixture.calls);
  const notifications: Captured[] = [];
  const client = createMockHttp({
    responses: fixture.http,
    clock,
    onRedirect: deps.onRedirect,
    fallback: deps.mockEverything ? { url: '*', status: 200, headers: {}, json: {}, delay_ms: 0 } : null,
  });
  const handlers: HostHandlers = createMockHandlers({
    kv,
    database,
    clock,
    client,
    channels: deps.mockEverything ? null : (fixture.channels ?? null),
    onLog: deps.onLog,
    onNotification(captured) {
      notifications.push(captured);
      deps.onNotification(captured);
    },
  });
  return {
    kv,
    database,
    notifications,
    matcher,
    handlers: applyFixture(handlers, { matcher, clock, database, onAnswer: ({ signal }) => deps.onFixtureAnswer(signal) }),
    entries: () => listEntries(database),
  };
}

export type MockWorld = Awaited<ReturnType<typeof createMockWorld>>;

const bucketsOf = ({ buckets = {} }: Fixture): Record<string, Record<string, string>> => buckets;

async function fillBuckets(kv: KvStore, buckets: Record<string, Record<string, string>>): Promise<void> {
  for (const [bucket, entries] of Object.entries(buckets))
    for (const [key, value] of Object.entries(entries))
      await kv.put(bucket, key, value, undefined, { kind: 'kv.change', actor: 'fixture', method: 'kv.put', summary: '{}' });
}

const listEntries = (database: Database): Promise<StoredEntry[]> =>
  database.read.all('SELECT bucket, key, value, revision FROM kv_entries ORDER BY bucket, key LIMIT 10000');
