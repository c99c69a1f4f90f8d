import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HostError } from '../../protocol/errors.ts';
import { type Database, openDatabase, type Tx } from '../../supervisor/database.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { openTempDatabase } from '../support/temp-database.ts';
import { testFolder } from '../support/test-folder.ts';

const addBucket = (name: string) => (tx: Tx) => tx.run('INSERT INTO kv_buckets VALUES (?, 0, 0, 0)', [name]);
const listBuckets = async (database: Database) =>
  (await database.read.all<{ bucket: string }>('SELECT bucket FROM kv_buckets ORDER BY bucket')).map((row) => row.bucket);
const listKinds = async (database: Database) =>
  (await database.read.all<{ kind: string }>('SELECT kind FROM audit ORDER BY seq')).map((row) => row.kind);
const code = (outcome: PromiseSettledResult<unknown>) => (outcome.status === 'fulfilled' ? 'done' : outcome.reason.code);

/** Lets the file grow no more: to SQLite, a full disk. */
async function fillDisk(database: Database): Promise<() => Promise<unknown>> {
  const { page_count: pages } = (await database.read.get<{ page_count: number }>('PRAGMA page_count')) ?? { page_count: 0 };
  await database.write((tx) => tx.all(`PRAGMA max_page_count = ${pages}`));
  return () => database.write((tx) => tx.all('PRAGMA max_page_count = 1000000'));
}

/** Lets time pass until the head is there: a try takes the real time of the database, and only then the next one is due. */
const passUntil = (clock: FakeClock, database: Database, seq: number): Promise<void> =>
  eventually(async () => {
    await clock.advance(1000);
    return database.head().seq >= seq;
  });

async function openWatched(t: Test) {
  const [clock, log] = [createFakeClock(), createQuietLog()];
  const file = join(testFolder(t), 'lattice.db');
  const database = await openDatabase({ file, clock, log });
  t.teardown(() => database.close());
  await database.write((tx) => tx.all('PRAGMA busy_timeout = 0'));
  const other = await openConnection(file, openModes.write);
  t.teardown(() => other.close());
  /** Lets nothing at all be written, because another program holds the database. */
  async function hold(): Promise<() => Promise<unknown>> {
    await other.run('BEGIN IMMEDIATE');
    return () => other.run('ROLLBACK');
  }
  return { clock, log, database, hold };
}

t.test('given jobs and rows of one tick, when they are written, then they share one commit', async (t) => {
  const database = await openTempDatabase(t);
  const before = database.commits();

  await Promise.all([
    ...Array.from({ length: 100 }, (_, index) => database.write(addBucket(`bucket-${index}`))),
    ...Array.from({ length: 100 }, () => database.append({ kind: 'api.change' })),
  ]);

  t.equal(database.commits() - before, 1);
  t.equal((await listBuckets(database)).length, 100);
  t.equal(database.head().seq, 100);
});

t.test('given more rows than one commit takes, when they are appended, then all are there in their order', async (t) => {
  const database = await openTempDatabase(t);

  await Promise.all(Array.from({ length: 4567 }, (_, index) => database.append({ kind: 'api.change', requestId: String(index) })));

  const rows = await database.read.all<{ request_id: string }>('SELECT request_id FROM audit ORDER BY seq');
  t.same(
    rows.map((row) => Number(row.request_id)),
    Array.from({ length: 4567 }, (_, index) => index),
  );
});

t.test('given a job, when it resolves, then its value comes back and the read connection sees what it wrote', async (t) => {
  const database = await openTempDatabase(t);

  const changes = await database.write(addBucket('one'));

  t.equal(changes.changes, 1);
  t.same(await listBuckets(database), ['one']);
});

t.test('given one job of three that throws, when they share a transaction, then only it is undone', async (t) => {
  const database = await openTempDatabase(t);
  const failing = async (tx: Tx) => {
    await addBucket('undone')(tx);
    tx.audit({ kind: 'kv.change' });
    throw new HostError('conflict', 'changed its mind');
  };

  const outcomes = await Promise.allSettled([
    database.write(addBucket('first')),
    database.write(failing),
    database.append({ kind: 'api.change' }),
    database.write(addBucket('last')),
  ]);

  t.same(outcomes.map(code), ['done', 'conflict', 'done', 'done']);
  t.same(await listBuckets(database), ['first', 'last']);
  t.same(await listKinds(database), ['api.change']);
});

t.test('given a job alone in its transaction that throws, when rows wait beside it, then it is undone and they are written', async (t) => {
  const database = await openTempDatabase(t);

  const outcomes = await Promise.allSettled([
    database.append({ kind: 'api.change' }),
    database.write(async (tx) => {
      await addBucket('undone')(tx);
      throw new HostError('conflict', 'changed its mind');
    }),
    database.append({ kind: 'api.denied' }),
  ]);

  t.same(outcomes.map(code), ['done', 'conflict', 'done']);
  t.same(await listBuckets(database), []);
  t.same(await listKinds(database), ['api.change', 'api.denied']);
});

t.test('given a job that throws at once, when it is written, then it rejects with that', async (t) => {
  const database = await openTempDatabase(t);
  const throwing = () => {
    throw new TypeError('not even a promise');
  };

  await t.rejects(database.write(throwing), TypeError);
});

t.test('given a job that breaks a rule of the table, when it catches that itself, then it may go on', async (t) => {
  const database = await openTempDatabase(t);

  await database.write(async (tx) => {
    await addBucket('one')(tx);
    await t.rejects(addBucket('one')(tx));
    await addBucket('two')(tx);
  });

  t.same(await listBuckets(database), ['one', 'two']);
});

t.test('given a job that kept its transaction, when it uses it later, then it is refused', async (t) => {
  const database = await openTempDatabase(t);
  let kept: Tx | undefined;
  await database.write(async (tx) => {
    kept = tx;
  });

  await t.rejects(async () => kept?.run("INSERT INTO kv_buckets VALUES ('late', 0, 0, 0)"), { code: 'internal' });
  t.throws(() => kept?.audit({ kind: 'api.change' }), { code: 'internal' });
});

t.test('given rows of jobs between appended rows, when they commit, then the audit has them in the order asked', async (t) => {
  const database = await openTempDatabase(t);

  await Promise.all([
    database.append({ kind: 'service.start' }),
    database.write(async (tx) => tx.audit({ kind: 'plugin.status' })),
    database.append({ kind: 'service.stop' }),
  ]);

  t.same(await listKinds(database), ['service.start', 'plugin.status', 'service.stop']);
});

t.test('given an entry that its author changes later, when it commits, then the row is as it was handed in', async (t) => {
  const database = await openTempDatabase(t);
  const entry = { kind: 'api.change' as const, actor: 't-one' };

  const written = database.append(entry);
  entry.actor = 't-two';
  await written;

  t.same(await database.read.get('SELECT actor FROM audit'), { actor: 't-one' });
});

t.test('given a full disk, when a job and rows share a batch, then all of it is refused and none of it stays', async (t) => {
  const database = await openTempDatabase(t);
  const free = await fillDisk(database);
  const head = database.head();
  const big = 'x'.repeat(100_000);

  const outcomes = await Promise.allSettled([
    database.write(addBucket('small')),
    database.write(addBucket(big)),
    database.append({ kind: 'api.change' }),
  ]);

  t.same(outcomes.map(code), ['storage-unavailable', 'storage-unavailable', 'storage-unavailable']);
  t.match(outcomes[2], { reason: { details: { hint: /free space/ } } });
  t.same(database.head(), head);
  t.same(await listBuckets(database), []);
  await free();
  await Promise.all([database.write(addBucket('after')), database.append({ kind: 'api.change' })]);
  t.same(await listBuckets(database), ['after']);
  t.equal(database.head().seq, head.seq + 1);
});

t.test('given a full disk, when a job swallows the error and writes on, then nothing of it stays', async (t) => {
  const database = await openTempDatabase(t);
  const free = await fillDisk(database);

  const stubborn = database.write(async (tx) => {
    await addBucket('x'.repeat(100_000))(tx).catch(() => undefined);
    await addBucket('outside any transaction')(tx).catch(() => undefined);
    return 'fine';
  });

  await t.rejects(stubborn, { code: 'storage-unavailable' });
  await free();
  t.same(await listBuckets(database), []);
});

t.test(
  'given a full disk, when rows alone are appended, then they are refused until there is space, and the chain has no gap',
  async (t) => {
    const database = await openTempDatabase(t);
    await database.append({ kind: 'service.start' });
    const free = await fillDisk(database);
    const summary = JSON.stringify({ text: 'x'.repeat(1900) });

    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => database.append({ kind: 'api.change', summary })));

    t.ok(outcomes.every((outcome) => code(outcome) === 'storage-unavailable'));
    await free();
    await database.append({ kind: 'service.stop' });
    t.same(await listKinds(database), ['service.start', 'service.stop']);
    t.equal(database.head().seq, 2);
  },
);

t.test('given a row that nobody waits for, when it is refused, then the process goes on', async (t) => {
  const database = await openTempDatabase(t);
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  const free = await fillDisk(database);

  for (let count = 0; count < 100; count++) void database.append({ kind: 'api.change', summary: JSON.stringify('x'.repeat(1900)) });
  void database.append({ kind: 'host.decision', opens: true }); // no request id: refused before it is queued

  await free();
  await new Promise((resolve) => setImmediate(resolve));
  t.same(unhandled, []);
});

t.test('given the audit, when a job updates, deletes or replaces a row, then it is refused', async (t) => {
  const database = await openTempDatabase(t);
  await database.append({ kind: 'api.change' });
  const attempts = [
    "UPDATE audit SET actor = 'nobody'",
    'DELETE FROM audit',
    "INSERT OR REPLACE INTO audit SELECT seq, time, 'service.stop', plugin, generation, actor, method, verdict, code, rule, request_id, summary, hash FROM audit",
  ];

  for (const sql of attempts) {
    await t.rejects(
      database.write((tx) => tx.run(sql)),
      /append-only/,
      sql.slice(0, 20),
    );
  }

  t.same(await listKinds(database), ['api.change']);
});

t.test(
  'given a database that cannot be written, when batch after batch fails, then the log says so once a second, and when it is over',
  async (t) => {
    const { clock, log, database, hold } = await openWatched(t);
    const free = await hold();
    const fail = async () => {
      for (let count = 0; count < 3; count++) await t.rejects(database.write(addBucket('late')), { code: 'storage-unavailable' });
    };

    await fail();
    await clock.advance(999);
    await fail();
    await clock.advance(1);
    await fail(); // behind the try of the second, which failed as well
    await free();
    await database.write(addBucket('after'));

    const events = log.events.filter((line) => line.event.startsWith('database.commit'));
    t.match(events, [
      { level: 'error', event: 'database.commit.failed', fields: { refused: 1, hint: String } },
      { level: 'error', event: 'database.commit.failed', fields: { refused: 5 } },
      { level: 'info', event: 'database.commit.recovered', fields: { refused: 3 } },
    ]);
    t.equal(events.length, 3);
  },
);

t.test(
  'given a database that can be written again, when nobody asks for anything, then it is noticed, and the audit tells of the time between',
  async (t) => {
    const { clock, database, hold } = await openWatched(t);
    const since = new Date(clock.wallMs()).toISOString();
    const free = await hold();
    await Promise.allSettled([database.append({ kind: 'api.change' }), database.write(addBucket('late'))]);
    t.match(database.fault(), { since, rule: 'database-busy', detail: /SQLITE_BUSY/, hint: /end it/ });
    await clock.advance(1000);
    t.not(database.fault(), null, 'tried, and still so');
    await free();

    await passUntil(clock, database, 1);

    t.equal(database.fault(), null);
    t.match(await database.read.all('SELECT kind, code, rule, summary FROM audit'), [
      { kind: 'storage.recovered', code: 'storage-unavailable', rule: 'database-busy', summary: JSON.stringify({ since, refused: 2 }) },
    ]);
  },
);

t.test(
  'given a database that fails and works in turns, when it recovers, then the audit tells it once a minute, and counts all',
  async (t) => {
    const { clock, database, hold } = await openWatched(t);
    for (let turn = 0; turn < 3; turn++) {
      const free = await hold();
      await t.rejects(database.append({ kind: 'api.change' }));
      await free();
      await clock.advance(1000);
      await eventually(() => database.head().seq > 0);
    }
    t.equal(database.head().seq, 1);

    await passUntil(clock, database, 2);

    const told = await database.read.all<{ summary: string }>("SELECT summary FROM audit WHERE kind = 'storage.recovered' ORDER BY seq");
    t.same(
      told.map(({ summary }) => JSON.parse(summary).refused),
      [1, 2],
    );
  },
);
