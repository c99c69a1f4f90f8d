import { appendFile, copyFile, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { createRealClock } from '../../../supervisor/clock.ts';
import { openConnection, openModes } from '../../../supervisor/sqlite-connection.ts';
import { openOrSetAside } from '../../../supervisor/storage/open-or-set-aside.ts';
import { finishSetAside, readSafeMode, setAside } from '../../../supervisor/storage/set-aside.ts';
import { makeDatabase } from '../../support/make-database.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { testFolder } from '../../support/test-folder.ts';

const kept = /^lattice-set-aside-\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?\.db$/;

async function prepare(t: Test) {
  const dataDir = testFolder(t);
  const file = join(dataDir, 'lattice.db');
  const log = createQuietLog();
  const database = await makeDatabase(dataDir, 5);
  const open = () => openOrSetAside({ file, headFile: join(dataDir, 'audit.head'), clock: createRealClock(), log });
  return { dataDir, file, log, database, open };
}

async function execute(file: string, sql: string): Promise<void> {
  const connection = await openConnection(file, openModes.create);
  await connection.exec(sql);
  await connection.close();
}

const damages: Record<string, { rule: string; damage(file: string): Promise<unknown> }> = {
  'a truncated database': { rule: 'damaged-database', damage: (file) => truncate(file, 20_000) },
  'an emptied database': { rule: 'database-missing', damage: (file) => truncate(file, 0) },
  'a removed database': { rule: 'database-missing', damage: (file) => rm(file) },
  'a text in its place': { rule: 'not-a-database', damage: (file) => writeFile(file, 'notes of the operator\n'.repeat(20)) },
  'the database of another program': { rule: 'foreign-database', damage: (file) => execute(file, 'PRAGMA application_id = 7') },
  'an older copy of it': {
    rule: 'audit-behind-head',
    damage: (file) => writeFile(join(dirname(file), 'audit.head'), JSON.stringify({ seq: 7, hash: 'f'.repeat(64) })),
  },
  'a table without its guard': { rule: 'damaged-database', damage: (file) => execute(file, 'DROP TRIGGER audit_no_delete') },
  'an entry that no counter counts': { rule: 'damaged-database', damage: (file) => execute(file, 'UPDATE kv_buckets SET keys = keys - 1') },
  'a lower schema number': { rule: 'damaged-database', damage: (file) => execute(file, 'PRAGMA user_version = 3') },
};

for (const [name, { rule, damage }] of Object.entries(damages)) {
  t.test(`given ${name}, when it is opened, then it is kept under a dated name and no empty one takes its place`, async (t) => {
    const { dataDir, file, database, open } = await prepare(t);
    await database.close();
    await damage(file);
    const bytes = await readFile(file).catch(() => null);

    const first = await open();
    const again = await open();

    t.match(first, { database: null, safeMode: { rule, detail: String, set_aside: bytes === null ? null : kept } });
    t.same(again, first, 'the next start finds the same');
    t.notOk((await readdir(dataDir)).includes('lattice.db'));
    if (bytes !== null) t.ok(bytes.equals(await readFile(join(dataDir, String(first.safeMode?.set_aside)))));
  });
}

t.test('given a log with a damaged frame in its middle, when it is opened, then both files are kept together', async (t) => {
  const { dataDir, file, database, open } = await prepare(t);
  const [main, log] = [await readFile(file), await readFile(`${file}-wal`)];
  await database.close();
  log[5000] = (log[5000] ?? 0) ^ 1;
  await writeFile(file, main);
  await writeFile(`${file}-wal`, log);

  const { safeMode } = await open();

  t.match(safeMode, { rule: 'damaged-log', set_aside: kept });
  t.ok(log.equals(await readFile(join(dataDir, `${safeMode?.set_aside}-wal`))));
});

t.test('given a log whose end is torn, as a crash leaves it, when it is opened, then it is whole', async (t) => {
  const { dataDir, file, database, open } = await prepare(t);
  const [main, log] = [await readFile(file), await readFile(`${file}-wal`)];
  await database.close();
  await writeFile(file, main);
  await writeFile(`${file}-wal`, log);
  await appendFile(`${file}-wal`, Buffer.alloc(3000, 7));

  const { database: opened } = await open();
  t.teardown(() => opened?.close());

  t.equal(opened?.head().seq, 6);
  t.equal(await readSafeMode(dataDir), null);
});

t.test('given safe mode, when a whole database is put in its place, then the next start uses it', async (t) => {
  const { dataDir, file, database, log, open } = await prepare(t);
  await database.close();
  await copyFile(file, `${file}.backup`);
  await truncate(file, 20_000);
  await open();
  await copyFile(`${file}.backup`, file);

  const { database: opened, safeMode } = await open();
  t.teardown(() => opened?.close());

  t.equal(safeMode, null);
  t.equal(await readSafeMode(dataDir), null);
  t.ok(log.events.some(({ event }) => event === 'service.safe-mode.over'));
});

t.test('given a newer schema, when it is opened, then it is refused and nothing is set aside', async (t) => {
  const { dataDir, file, database, open } = await prepare(t);
  await database.close();
  await execute(file, 'PRAGMA user_version = 999');

  await t.rejects(open(), { code: 'unavailable', details: { rule: 'newer-schema', hint: String } });

  t.notOk((await readdir(dataDir)).some((name) => kept.test(name) || name === 'safe-mode.json'));
});

t.test('given a move that was cut off between the database and its log, when it is finished, then the log follows', async (t) => {
  const { dataDir, file, database, open } = await prepare(t);
  await database.close();
  const record = await setAside(file, { rule: 'damaged-database', detail: 'cut off' }, '2026-11-23T10:00:00.000Z');
  await writeFile(`${file}-wal`, 'the log that stayed');

  await open();

  t.equal(await readFile(join(dataDir, `${record.set_aside}-wal`), 'utf8'), 'the log that stayed');
  await writeFile(`${file}-wal`, 'another');
  await finishSetAside(file, record);
  t.equal(await readFile(join(dataDir, `${record.set_aside}-wal`), 'utf8'), 'the log that stayed', 'nothing is written over');
});

t.test('given an empty data directory, when it is opened, then a new database is made', async (t) => {
  const dataDir = testFolder(t);
  const { database } = await openOrSetAside({
    file: join(dataDir, 'lattice.db'),
    headFile: join(dataDir, 'audit.head'),
    clock: createRealClock(),
    log: createQuietLog(),
  });
  t.teardown(() => database?.close());

  t.equal(database?.head().seq, 0);
});
