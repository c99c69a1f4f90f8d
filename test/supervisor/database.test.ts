import { chmod, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createRealClock } from '../../supervisor/clock.ts';
import { type Database, openDatabase } from '../../supervisor/database.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { openTempDatabase } from '../support/temp-database.ts';
import { testFolder } from '../support/test-folder.ts';

const open = (file: string): Promise<Database> => openDatabase({ file, clock: createRealClock(), log: createQuietLog() });

async function changeHeader(file: string, ...statements: string[]): Promise<void> {
  const connection = await openConnection(file, openModes.create);
  for (const statement of statements) await connection.exec(statement);
  await connection.close();
}

async function makeClosedDatabase(t: Test): Promise<string> {
  const file = join(testFolder(t), 'lattice.db');
  await (await open(file)).close();
  return file;
}

t.test('given an empty directory, when the database is opened, then only its owner can read the file', async (t) => {
  const file = join(testFolder(t), 'lattice.db');
  const database = await open(file);
  t.teardown(() => database.close());
  await database.append({ kind: 'service.start' });

  for (const name of [file, `${file}-wal`, `${file}-shm`]) t.equal((await stat(name)).mode & 0o777, 0o600, name.slice(-4));
});

t.test('given a file that others can read, when the database is opened, then it is closed to them', async (t) => {
  const file = await makeClosedDatabase(t);
  await chmod(file, 0o644);

  const database = await open(file);
  t.teardown(() => database.close());

  t.equal((await stat(file)).mode & 0o777, 0o600);
});

t.test('given an open database, when its settings are read, then a commit is durable and references hold', async (t) => {
  const database = await openTempDatabase(t);

  const settings = await database.write(async (tx) => ({
    ...(await tx.get('PRAGMA journal_mode')),
    ...(await tx.get('PRAGMA synchronous')),
    ...(await tx.get('PRAGMA foreign_keys')),
    ...(await tx.get('PRAGMA recursive_triggers')),
  }));

  t.same(settings, { journal_mode: 'wal', synchronous: 2, foreign_keys: 1, recursive_triggers: 1 });
});

t.test('given a closed database, when it is opened again, then what was committed is there and the chain goes on', async (t) => {
  const file = join(testFolder(t), 'lattice.db');
  const first = await open(file);
  await first.append({ kind: 'service.start' });
  const head = first.head();
  await first.close();

  const second = await open(file);
  t.teardown(() => second.close());
  await second.append({ kind: 'service.stop' });

  t.equal(head.seq, 1);
  t.equal(second.head().seq, 2);
});

t.test('given a text file in its place, when the database is opened, then it is refused and left untouched', async (t) => {
  const file = join(testFolder(t, { 'lattice.db': 'notes of the operator\n'.repeat(20) }), 'lattice.db');

  await t.rejects(open(file), { code: 'storage-unavailable', details: { rule: 'not-a-database', hint: String } });

  t.equal(await readFile(file, 'utf8'), 'notes of the operator\n'.repeat(20));
});

t.test('given a short file in its place, when the database is opened, then it is refused', async (t) => {
  const file = join(testFolder(t, { 'lattice.db': 'x' }), 'lattice.db');

  await t.rejects(open(file), { code: 'storage-unavailable', details: { rule: 'not-a-database' } });
});

for (const mode of ['DELETE', 'WAL']) {
  t.test(`given a database of another program in ${mode} mode, when it is opened, then it is refused and left untouched`, async (t) => {
    const file = join(testFolder(t), 'lattice.db');
    await changeHeader(file, `PRAGMA journal_mode = ${mode}`, 'CREATE TABLE notes (text TEXT)', "INSERT INTO notes VALUES ('mine')");
    const before = await readFile(file);

    await t.rejects(open(file), { code: 'storage-unavailable', details: { rule: 'foreign-database', hint: String } });

    t.ok(before.equals(await readFile(file)));
  });
}

t.test('given a link in its place, when the database is opened, then the link is not followed', async (t) => {
  const directory = testFolder(t, { other: '' });
  await symlink(join(directory, 'other'), join(directory, 'lattice.db'));

  await t.rejects(open(join(directory, 'lattice.db')), { code: 'storage-unavailable', details: { rule: 'not-a-file' } });
});

t.test('given a directory that is not there, when the database is opened, then the error names no path', async (t) => {
  const file = join(testFolder(t), 'absent', 'lattice.db');

  const error = await open(file).catch((thrown: unknown) => thrown);

  t.match(error, { code: 'storage-unavailable', details: { hint: String } });
  t.notMatch(String(error), 'absent');
});

t.test('given a newer schema, when the database is opened, then it is refused and keeps its number', async (t) => {
  const file = await makeClosedDatabase(t);
  await changeHeader(file, 'PRAGMA user_version = 999');

  await t.rejects(open(file), { code: 'unavailable', details: { rule: 'newer-schema', hint: String } });

  const connection = await openConnection(file, openModes.read);
  t.teardown(() => connection.close());
  t.same(await connection.get('PRAGMA user_version'), { user_version: 999 });
});

t.test('given a database whose middle is garbage, when it is opened, then it is refused', async (t) => {
  const file = await makeClosedDatabase(t);
  const bytes = await readFile(file);
  await writeFile(file, bytes.fill(0xff, 100));

  await t.rejects(open(file), { code: 'storage-unavailable' });
});

t.test('given an empty file, as a crash leaves it, when the database is opened, then it is made anew', async (t) => {
  const file = join(testFolder(t, { 'lattice.db': '' }), 'lattice.db');

  const database = await open(file);
  t.teardown(() => database.close());

  t.equal(database.head().seq, 0);
});

t.test('given a marked file without tables, as a crash leaves it, when the database is opened, then it gets them', async (t) => {
  const file = join(testFolder(t), 'lattice.db');
  await changeHeader(file, `PRAGMA application_id = ${0x4c617474}`);

  const database = await open(file);
  t.teardown(() => database.close());

  t.same(await database.read.all('SELECT * FROM tokens'), []);
});

t.test('given a text with a NUL, an emoji and many digits, when it is stored, then the same text comes back', async (t) => {
  const database = await openTempDatabase(t);
  const values = ['a\0b', '😀', '9007199254740991', ''];

  const rows = await database.write((tx) => tx.all<{ value: string }>('SELECT value FROM json_each(?)', [JSON.stringify(values)]));
  const bound = await database.read.get('SELECT ? AS text, ? AS large, ? AS none', ['a\0b😀', Number.MAX_SAFE_INTEGER, null]);

  t.same(
    rows.map((row) => row.value),
    values,
  );
  t.same(bound, { text: 'a\0b😀', large: Number.MAX_SAFE_INTEGER, none: null });
});

t.test('given more statements than are kept prepared, when each is used twice, then all answer', async (t) => {
  const database = await openTempDatabase(t);
  const ask = () => Promise.all(Array.from({ length: 300 }, (_, index) => database.read.get(`SELECT ${index} AS n`)));

  await ask();

  t.same(
    await ask(),
    Array.from({ length: 300 }, (_, n) => ({ n })),
  );
});

t.test('given a statement that is wrong, when it is run, then it rejects each time and the connection goes on', async (t) => {
  const database = await openTempDatabase(t);

  await t.rejects(database.read.all('SELECT nonsense'));
  await t.rejects(database.read.all('SELECT nonsense'));

  t.same(await database.read.get('SELECT 1 AS one'), { one: 1 });
});

t.test('given the read connection, when it is asked to write, then it refuses', async (t) => {
  const database = await openTempDatabase(t);

  await t.rejects(database.read.run("INSERT INTO kv_buckets VALUES ('a', 0, 0, 0)"), { code: 'storage-unavailable' });
});

t.test('given queued writes, when the database is closed, then they are committed and later ones refused', async (t) => {
  const file = join(testFolder(t), 'lattice.db');
  const database = await open(file);
  const row = database.append({ kind: 'service.start' });
  const job = database.write(async (tx) => tx.audit({ kind: 'service.stop' }));

  await Promise.all([database.close(), database.close()]);

  await Promise.all([row, job]);
  await t.rejects(
    database.write(async () => 1),
    { code: 'storage-unavailable' },
  );
  await t.rejects(database.append({ kind: 'service.stop' }), { code: 'storage-unavailable' });
  await t.rejects(stat(`${file}-wal`), { code: 'ENOENT' });
});
