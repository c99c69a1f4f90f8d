import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Database, openDatabase } from '../../../supervisor/database.ts';
import { createGuardedClient } from '../../../supervisor/host/guarded-client.ts';
import { parseChannels } from '../../../supervisor/notify/channels.ts';
import { createDelivery, type DeliveryDeps } from '../../../supervisor/notify/delivery.ts';
import { deliveryLimits, pauseAfter } from '../../../supervisor/notify/delivery-policy.ts';
import { createOutbox } from '../../../supervisor/notify/outbox.ts';
import { eventually } from '../../support/eventually.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { serveHttp } from '../../support/local-servers.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { serveSmtp } from '../../support/smtp-sink.ts';
import { openTempDatabase } from '../../support/temp-database.ts';
import { testFolder } from '../../support/test-folder.ts';

const plugins = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((name) => `example.${name}`);

function createBench(t: Test, database: Database, channels: Record<string, unknown>, options: Partial<DeliveryDeps> = {}) {
  const fake = createFakeClock();
  const armed: number[] = [];
  const clock: FakeClock = {
    ...fake,
    timer(delayMs, run) {
      armed.push(delayMs);
      return fake.timer(delayMs, run);
    },
  };
  const log = createQuietLog();
  const outbox = createOutbox({ clock });
  const client = createGuardedClient({ clock, resolve: async () => ['127.0.0.1'], ownAddresses: () => [] });
  const parsed = parseChannels(Buffer.from(JSON.stringify({ channels })));
  const makeDelivery = (more: Partial<DeliveryDeps> = {}) => {
    const delivery = createDelivery({ database, outbox, channels: parsed, client, log, clock, random: () => 0.5, ...options, ...more });
    t.teardown(() => delivery.stop());
    return delivery;
  };
  const put = (plugin = 'example.a', channel = 'hook') =>
    database.write((tx) => outbox.enqueue(tx, { plugin, channel, title: 'T', text: 'text', severity: 'info' }));
  const row = (id: string) =>
    database.read.get<{ state: string; attempts: number; last_error: string | null }>('SELECT * FROM outbox WHERE id = ?', [id]);
  const reaches = (id: string, state: string) => eventually(async () => (await row(id))?.state === state);
  const failed = (id: string, attempts: number) => eventually(async () => (await row(id))?.attempts === attempts);
  /** Waits until this attempt has failed and the next is armed, and lets its time come. */
  const passPause = async (id: string, attempts: number) => {
    const pauseMs = pauseAfter(attempts, 0.5);
    await failed(id, attempts);
    await eventually(() => armed.includes(pauseMs));
    await clock.advance(pauseMs);
  };
  const audited = () => database.read.all(`SELECT plugin, code, rule, summary FROM audit WHERE kind = 'notify.delivery' ORDER BY seq`);
  return { clock, log, outbox, makeDelivery, put, row, reaches, failed, passPause, audited };
}

const hookTo = (port: number) => ({
  hook: { type: 'webhook', url: `http://hook.example.test:${port}/`, plugins, allow_private: [`127.0.0.1:${port}`] },
});

t.test('given a message in the outbox, when the delivery starts, then it is sent once and its outcome is recorded', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response) => void response.end());
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  const id = await bench.put();

  bench.makeDelivery().start();
  await bench.reaches(id, 'sent');

  t.match(seen, [{ headers: { 'idempotency-key': id } }]);
  t.match(await bench.audited(), [
    { plugin: 'example.a', code: 'sent', rule: null, summary: JSON.stringify({ id, channel: 'hook', attempts: 1 }) },
  ]);
});

t.test('given a delivery with nothing to do, when a message is queued and it is woken, then it is sent', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => void response.end());
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  const delivery = bench.makeDelivery();
  delivery.start();
  await eventually(() => bench.clock.pending() === 1);

  const id = await bench.put();
  delivery.wake();

  await bench.reaches(id, 'sent');
});

t.test('given a receiver that answers 500 and then 200, when time passes, then the message is sent again with the same id', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response, count) => response.writeHead(count === 1 ? 500 : 200).end('secret'));
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  const id = await bench.put();
  bench.makeDelivery().start();
  await bench.failed(id, 1);
  t.match(await bench.row(id), { state: 'waiting', last_error: 'status-500', next_ms: bench.clock.wallMs() + 1000 });

  await bench.passPause(id, 1);
  await bench.reaches(id, 'sent');

  t.same(
    seen.map((each) => each.headers['idempotency-key']),
    [id, id],
  );
  t.equal(seen[0]?.body, seen[1]?.body);
});

t.test('given a receiver whose answer is lost, when time passes, then the message is sent again with the same id', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response, count) => (count === 1 ? response.destroy() : response.end()));
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  const id = await bench.put();
  bench.makeDelivery().start();
  await bench.failed(id, 1);
  t.match(await bench.row(id), { last_error: 'reset' });

  await bench.passPause(id, 1);
  await bench.reaches(id, 'sent');

  t.same(
    seen.map((each) => each.headers['idempotency-key']),
    [id, id],
  );
});

t.test('given a receiver that never answers, when the attempt’s deadline passes, then it counts as failed', async (t) => {
  const asked = Promise.withResolvers<void>();
  const { port } = await serveHttp(t, () => asked.resolve());
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  const id = await bench.put();
  bench.makeDelivery().start();

  await asked.promise;
  await bench.clock.advance(deliveryLimits.attemptMs);
  await bench.failed(id, 1);

  t.match(await bench.row(id), { state: 'waiting', last_error: 'timeout' });
});

t.test('given a message that was accepted before a crash, when the service starts again, then it is delivered', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response) => void response.end());
  const file = join(testFolder(t), 'lattice.db');
  const open = () => openDatabase({ file, clock: createFakeClock(), log: createQuietLog() });
  const before = await open();
  const id = await createBench(t, before, hookTo(port)).put();
  await before.close();

  const after = await open();
  const bench = createBench(t, after, hookTo(port));
  const delivery = bench.makeDelivery();
  delivery.start();
  await bench.reaches(id, 'sent');

  t.match(seen, [{ headers: { 'idempotency-key': id } }]);
  await delivery.stop();
  await after.close();
});

t.test('given an attempt under way, when the service stops, then the attempt is not counted, and the next start sends it', async (t) => {
  const asked = Promise.withResolvers<void>();
  const { port, seen } = await serveHttp(t, (_seen, response, count) => (count === 1 ? asked.resolve() : response.end()));
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  const id = await bench.put();
  const first = bench.makeDelivery();
  first.start();
  await asked.promise;

  await first.stop();
  t.equal(bench.clock.pending(), 0);
  t.match(await bench.row(id), { state: 'waiting', attempts: 0 });
  bench.makeDelivery().start();
  await bench.reaches(id, 'sent');

  t.same(
    seen.map((each) => each.headers['idempotency-key']),
    [id, id],
  );
});

t.test('given one plugin with many messages, when receivers hang, then it holds two places and others are served', async (t) => {
  const held: (() => void)[] = [];
  const { port, seen } = await serveHttp(t, (_seen, response) => void held.push(() => response.end()));
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  for (let count = 0; count < 20; count++) await bench.put('example.a');
  await bench.put('example.b');
  bench.makeDelivery().start();

  await eventually(() => held.length === 3);
  await bench.clock.advance(1);
  t.same(seen.map((each) => JSON.parse(each.body).plugin).sort(), ['example.a', 'example.a', 'example.b']);

  while (seen.length < 21) {
    for (const release of held.splice(0)) release();
    await eventually(() => held.length > 0);
  }
  for (const release of held.splice(0)) release();
  await eventually(async () => (await bench.audited()).length === 21);
  t.equal(new Set(seen.map((each) => each.headers['idempotency-key'])).size, 21);
});

t.test('given many plugins, when receivers hang, then so many attempts are under way and no more', async (t) => {
  const { port, seen } = await serveHttp(t, () => {});
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  for (const plugin of [...plugins, ...plugins, ...plugins]) await bench.put(plugin);
  bench.makeDelivery().start();

  await eventually(() => seen.length === deliveryLimits.inFlight);
  await bench.clock.advance(1);

  t.equal(seen.length, deliveryLimits.inFlight);
  t.equal(new Set(seen.map((each) => JSON.parse(each.body).plugin)).size, plugins.length);
});

t.test(
  'given a receiver that is down for a day, when the attempts are used up, then the message is given up, audited and told',
  async (t) => {
    const { port } = await serveHttp(t, (_seen, response) => response.writeHead(503).end());
    const told: string[] = [];
    const bench = createBench(t, await openTempDatabase(t), hookTo(port), {
      pluginLog: (plugin, message) => told.push(`${plugin}: ${message}`),
    });
    const id = await bench.put();
    bench.makeDelivery().start();

    for (let attempts = 1; (await bench.row(id))?.state === 'waiting'; attempts++) {
      await bench.passPause(id, attempts);
      await bench.failed(id, attempts + 1);
    }

    t.match(await bench.row(id), { state: 'given-up', last_error: 'status-503' });
    t.ok(bench.clock.wallMs() - Date.UTC(2026, 0, 1) >= deliveryLimits.giveUpAfterMs);
    t.match(await bench.audited(), [{ plugin: 'example.a', code: 'given-up', rule: 'status-503' }]);
    t.match(told, [/^example\.a: notification n-.* to channel hook was given up after \d+ attempts: status-503$/]);
    t.match(
      bench.log.events.filter((each) => each.event === 'notify.given-up'),
      [{ level: 'error' }],
    );
  },
);

t.test('given failures, when the log and the table are read, then neither names the receiver', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => response.writeHead(500).end('secret'));
  const bench = createBench(t, await openTempDatabase(t), hookTo(port));
  const id = await bench.put();
  bench.makeDelivery().start();
  await bench.failed(id, 1);

  t.notMatch(JSON.stringify([bench.log.events, await bench.row(id), await bench.audited()]), /hook\.example|127\.0\.0\.1|secret/);
});

t.test('given a log channel, when a message is sent, then it is an event of the service’s log', async (t) => {
  const bench = createBench(t, await openTempDatabase(t), { book: { type: 'log', plugins } });
  const id = await bench.put('example.a', 'book');
  bench.makeDelivery().start();
  await bench.reaches(id, 'sent');

  t.match(bench.log.events, [
    {
      level: 'info',
      event: 'notify.message',
      fields: { id, plugin: 'example.a', channel: 'book', title: 'T', text: 'text', severity: 'info' },
    },
  ]);
});

t.test('given an email channel, when the server takes a message at the second try, then both are the same', async (t) => {
  const { port, mails } = await serveSmtp(t, { answerData: (count) => (count === 1 ? '451 later' : '250 ok') });
  const mail = { type: 'email', host: '127.0.0.1', port, from: 'l@example.com', to: ['o@example.com'], plugins };
  const bench = createBench(t, await openTempDatabase(t), { mail });
  const id = await bench.put('example.a', 'mail');
  bench.makeDelivery().start();
  await bench.failed(id, 1);
  t.match(await bench.row(id), { last_error: 'mail-refused' });

  await bench.passPause(id, 1);
  await bench.reaches(id, 'sent');

  t.equal(mails.length, 2);
  t.equal(mails[0]?.data, mails[1]?.data);
});

t.test('given channels that were removed or closed since, when their messages are due, then they wait and are not sent', async (t) => {
  const bench = createBench(t, await openTempDatabase(t), { book: { type: 'log', plugins: [] } });
  const ids = [await bench.put('example.a', 'book'), await bench.put('example.a', 'gone')];
  bench.makeDelivery().start();

  for (const id of ids) {
    await bench.failed(id, 1);
    t.match(await bench.row(id), { state: 'waiting', last_error: 'channel-closed' });
  }
  t.notOk(bench.log.events.some((each) => each.event === 'notify.message'));
});

t.test(
  'given a full disk after a message was sent, when it ends, then the outcome is recorded and the message not sent again',
  async (t) => {
    const { port, seen } = await serveHttp(t, (_seen, response) => void response.end());
    const real = await openTempDatabase(t);
    let failures = 0;
    const database: Database = {
      ...real,
      write: (job) => (seen.length === 1 && failures++ < 2 ? Promise.reject(new Error('disk full')) : real.write(job)),
    };
    const bench = createBench(t, real, hookTo(port));
    const id = await bench.put();
    bench.makeDelivery({ database }).start();

    for (const expected of [1, 2]) {
      await eventually(() => bench.log.events.filter((each) => each.event === 'notify.unrecorded').length === expected);
      await bench.clock.advance(deliveryLimits.troubleMs);
    }
    await bench.reaches(id, 'sent');

    t.equal(seen.length, 1);
  },
);

t.test('given a database that does not answer, when it does again, then the delivery goes on', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => void response.end());
  const real = await openTempDatabase(t);
  let failures = 0;
  const read = {
    ...real.read,
    all: <T>(sql: string, params?: readonly unknown[]) =>
      failures++ < 1 ? Promise.reject(new Error('busy')) : real.read.all<T>(sql, params),
  };
  const bench = createBench(t, real, hookTo(port));
  const id = await bench.put();
  bench.makeDelivery({ database: { ...real, read } }).start();

  await eventually(() => bench.log.events.some((each) => each.event === 'notify.trouble'));
  await eventually(() => bench.clock.pending() === 1);
  await bench.clock.advance(deliveryLimits.troubleMs);

  await bench.reaches(id, 'sent');
});

t.test('given old finished messages, when the delivery runs, then they are pruned at its start and every hour', async (t) => {
  const database = await openTempDatabase(t);
  const bench = createBench(t, database, { book: { type: 'log', plugins } });
  const count = async () => (await database.read.all('SELECT id FROM outbox')).length;
  const id = await bench.put('example.a', 'book');
  bench.makeDelivery().start();
  await bench.reaches(id, 'sent');
  t.equal(await count(), 1);

  bench.clock.setWall(bench.clock.wallMs() + 8 * 24 * 3_600_000);
  await eventually(() => bench.clock.pending() === 1);
  await bench.clock.advance(deliveryLimits.pruneEveryMs);

  await eventually(async () => (await count()) === 0);
});
