import { join } from 'node:path';
import t, { type Test } from 'tap';
import { migrate } from '../../supervisor/migrate.ts';
import { type Connection, openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { testFolder } from '../support/test-folder.ts';

async function openEmpty(t: Test, migrations: Record<string, string>): Promise<{ connection: Connection; directory: string }> {
  const directory = testFolder(t, { migrations });
  const connection = await openConnection(join(directory, 'test.db'), openModes.create);
  t.teardown(() => connection.close());
  return { connection, directory: join(directory, 'migrations') };
}
const listTables = async (connection: Connection) =>
  (await connection.all<{ name: string }>('SELECT name FROM sqlite_schema ORDER BY name')).map((row) => row.name);
const readVersion = async (connection: Connection) => (await connection.get<{ user_version: number }>('PRAGMA user_version'))?.user_version;

t.test('given two migrations, when they are applied, then they run in order and the schema has their number', async (t) => {
  const { connection, directory } = await openEmpty(t, {
    '002-b.sql': 'ALTER TABLE a RENAME TO b;',
    '001-a.sql': 'CREATE TABLE a (x); INSERT INTO a VALUES (1);',
    'notes.txt': 'not a migration',
  });

  t.same(await migrate(connection, directory), { from: 0, to: 2 });

  t.same(await listTables(connection), ['b']);
  t.equal(await readVersion(connection), 2);
});

t.test('given a migrated database, when it is migrated again, then nothing runs twice', async (t) => {
  const { connection, directory } = await openEmpty(t, { '001-a.sql': 'CREATE TABLE a (x);' });
  await migrate(connection, directory);

  t.same(await migrate(connection, directory), { from: 1, to: 1 });
});

t.test('given a migration that fails in its middle, when it is applied, then the one before stays and nothing of it does', async (t) => {
  const { connection, directory } = await openEmpty(t, {
    '001-a.sql': 'CREATE TABLE a (x);',
    '002-b.sql': 'CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);',
  });

  await t.rejects(migrate(connection, directory), /nowhere/);

  t.same(await listTables(connection), ['a']);
  t.equal(await readVersion(connection), 1);
});

t.test('given a number that is missing, when the migrations are listed, then they are refused', async (t) => {
  const { connection, directory } = await openEmpty(t, { '001-a.sql': 'CREATE TABLE a (x);', '003-c.sql': 'CREATE TABLE c (x);' });

  await t.rejects(migrate(connection, directory), { code: 'internal' });

  t.same(await listTables(connection), []);
});

t.test('given a schema that is newer than the migrations, when it is migrated, then it is refused', async (t) => {
  const { connection, directory } = await openEmpty(t, { '001-a.sql': 'CREATE TABLE a (x);' });
  await connection.exec('PRAGMA user_version = 2');

  await t.rejects(migrate(connection, directory), { code: 'unavailable', details: { rule: 'newer-schema' } });
});
