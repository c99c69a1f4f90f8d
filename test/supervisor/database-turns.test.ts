import t, { type Test } from 'tap';
import { walkAudit } from '../../supervisor/audit-query.ts';
import type { HostCall, HostHandlers } from '../../supervisor/broker.ts';
import type { Database, Sql } from '../../supervisor/database.ts';
import { createDatabaseTurns } from '../../supervisor/database-turns.ts';
import { createAuditQuery } from '../../supervisor/host/audit.ts';
import { createKvHandlers } from '../../supervisor/host/kv.ts';
import { createKvStore } from '../../supervisor/kv-store.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createHostCall } from '../support/host-call.ts';
import { openTempDatabase } from '../support/temp-database.ts';

const attacker = 'example.attacker';
const neighbour = 'example.neighbour';
const keys = 40;

/** A database with a long audit and a bucket for each of two plugins, and a list of the statements that were answered. */
async function open(t: Test, rows: number) {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  const kv = createKvStore({ database, quota: { keys: 1000, bytes: 1_000_000 } });
  for (const bucket of [attacker, neighbour].map((id) => `plugin:${id}`))
    await Promise.all(Array.from({ length: keys }, (_, key) => kv.put(bucket, `key ${key}`, 'x', undefined, { kind: 'kv.change' })));
  let last: Promise<void> | undefined;
  for (let row = 0; row < rows; row++) last = database.append({ kind: 'host.decision', plugin: attacker, method: 'kv.get' });
  await last;

  let answered = 0;
  const waiting = new Set<() => void>();
  const read: Sql = {
    ...database.read,
    async all<T>(sql: string, params?: readonly unknown[]) {
      const found = await database.read.all<T>(sql, params);
      answered++;
      for (const wake of waiting) wake();
      return found;
    },
    get: async <T>(sql: string, params?: readonly unknown[]) => (await read.all<T>(sql, params))[0],
  };
  const seen: Database = { ...database, read };
  const turns = createDatabaseTurns(clock);
  const handlers = {
    ...createKvHandlers(createKvStore({ database: seen, quota: { keys: 1000, bytes: 1_000_000 } }), turns.lookUps),
    'audit.query': createAuditQuery(read, turns.pluginWalks),
  } satisfies Partial<HostHandlers>;
  return {
    ...{ clock, read, turns, handlers },
    answered: () => answered,
    /** Statements that were answered before this one was. */
    async waitsFor(ask: () => unknown): Promise<number> {
      const before = answered;
      await ask();
      return answered - before;
    },
    /** So many more were answered. */
    async go(count: number): Promise<void> {
      const until = answered + count;
      while (answered < until)
        await new Promise<void>((resolve) => {
          waiting.add(resolve);
        }).finally(() => waiting.clear());
    },
  };
}

const callOf = (pluginId: string, signal?: AbortSignal): HostCall => createHostCall('any', { pluginId }, signal);
const fromFirst = { after_seq: 0 };
const many = Array.from({ length: 60 });
type Opened = Awaited<ReturnType<typeof open>>;

const attacks: [name: string, ask: (handlers: Opened['handlers'], call: HostCall) => unknown][] = [
  ['the audit for what is not there', ({ 'audit.query': query }, call) => query({ ...fromFirst, method: 'kv.never', limit: 500 }, call)],
  ['the audit for whole pages', ({ 'audit.query': query }, call) => query({ ...fromFirst, limit: 500 }, call)],
  ['whole pages of its keys', ({ 'kv.list': list }, call) => list({ limit: 1000 }, call)],
  ['entries that are not in memory', ({ 'kv.get': get }, call) => get({ key: `no ${call.requestId}` }, call)],
];
for (const [name, ask] of attacks) {
  t.test(`given a plugin that asks for ${name} 60 times at once, when others read, then they wait for a few statements`, async (t) => {
    const { handlers, read, turns, clock, go, waitsFor } = await open(t, 25_000);
    const gone = new AbortController();
    const asked = many.map((_, index) => ask(handlers, { ...callOf(attacker, gone.signal), requestId: String(index) }));
    const ended = Promise.allSettled(asked);
    await go(1);

    t.ok((await waitsFor(() => handlers['kv.list']({ limit: 10 }, callOf(neighbour)))) <= 3);
    t.ok((await waitsFor(() => handlers['kv.get']({ key: 'key 1' }, callOf(neighbour)))) <= 3);
    t.ok((await waitsFor(() => read.all('SELECT 1'))) <= 3, 'the service itself');
    const statements = 2 * 3 + 1; // of a walk through these rows, and as many of others at most
    const operator = () => turns.walkForOperator(new AbortController().signal, walkAudit(read, { method: 'kv.never', limit: 10 }));
    t.ok((await waitsFor(operator)) <= 2 * statements, 'an operator');

    gone.abort(new Error('gone'));
    await ended;
    await clock.advance(0);
  });
}

t.test('given a plugin with many queries, when one is given up, then it ends at once, and those that are left are answered', async (t) => {
  const { handlers, go, answered } = await open(t, 25_000);
  const gone = new AbortController();
  const first = handlers['audit.query']({ ...fromFirst, method: 'kv.get', limit: 5 }, callOf(attacker));
  const givenUp = many.map(() => handlers['audit.query']({ ...fromFirst, method: 'kv.never', limit: 5 }, callOf(attacker, gone.signal)));
  const refused = Promise.allSettled(givenUp);
  const last = handlers['audit.query']({ ...fromFirst, method: 'kv.get', limit: 7 }, callOf(attacker));
  await go(3);
  gone.abort(new Error('gone'));
  t.ok((await refused).every(({ status }) => status === 'rejected'));
  const before = answered();

  t.equal((await first).rows.length, 5);
  t.equal((await last).rows.length, 7);
  t.ok(answered() - before <= 8, 'nothing was read for those that were given up');
});

t.test('given plugins that walk through the audit without end, when their share is used up, then they rest, and then go on', async (t) => {
  const { handlers, clock } = await open(t, 25_000);
  let done = 0;
  const all = many.map(async () => {
    await handlers['audit.query']({ ...fromFirst, method: 'kv.never', limit: 5 }, callOf(attacker));
    done++;
  });
  /** Until nothing is under way but a rest. */
  const settle = async () => {
    do await new Promise((resolve) => setImmediate(resolve));
    while (clock.pending() === 0 && done < many.length);
  };
  await settle();
  const early = done;
  t.ok(early > 0 && early < many.length / 2, `${early} of ${many.length}`);
  while (done < many.length) {
    await clock.advance(20);
    await settle();
  }
  await Promise.all(all);
  t.ok(clock.monotonicMs() >= 1000 * 4 * (many.length * 25_000 * 200e-9) * 0.75, 'at the price of what they walked past');
});
