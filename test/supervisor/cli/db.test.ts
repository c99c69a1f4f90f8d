import { appendFile, copyFile, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { verifyChain } from '../../../supervisor/audit-chain.ts';
import { lockDataDir } from '../../../supervisor/data-lock.ts';
import { withReader } from '../../../supervisor/storage/back-up.ts';
import { inspectDatabase } from '../../../supervisor/storage/inspect-database.ts';
import { makeDatabase } from '../../support/make-database.ts';
import { runVerb } from '../../support/run-cli.ts';
import { testFolder } from '../../support/test-folder.ts';

async function prepare(t: Test) {
  const folder = testFolder(t);
  const dataDir = join(folder, 'data');
  const database = await makeDatabase(dataDir, 700); // more than a page of the export
  t.teardown(() => database.close());
  const file = join(dataDir, 'lattice.db');
  const entries = (from = file) => withReader(from, (reader) => reader.all('SELECT * FROM kv_entries ORDER BY key'));
  return { folder, dataDir, file, database, entries, db: (...args: string[]) => runVerb(['db', ...args], { LATTICE_DATA_DIR: dataDir }) };
}

t.test('given a database in use, when it is checked, backed up and exported, then each is done beside the service', async (t) => {
  const { folder, dataDir, database, entries, db } = await prepare(t);
  const lock = await lockDataDir(dataDir);
  t.teardown(() => lock.release());

  t.match(await db('check'), { exitCode: 0, stdout: /whole: schema \d+, 701 rows/ });
  t.match(await db('backup', join(folder, 'backup.db')), { exitCode: 0, stdout: /up to row 701/ });
  t.match(await db('export', join(folder, 'export.ndjson')), { exitCode: 0, stdout: /exported/ });

  const backup = join(folder, 'backup.db');
  t.equal((await stat(backup)).mode & 0o777, 0o600);
  t.same(await entries(backup), await entries());
  t.match(await withReader(backup, (reader) => verifyChain(reader, database.head())), { ok: true, rows: 701 });
  t.match(await inspectDatabase(backup, 'none'), { fault: null });
  for (const verb of ['backup', 'export']) t.match(await db(verb, backup), { exitCode: 7 }, 'nothing is written over');
  for (const verb of ['restore', 'import']) t.match(await db(verb, backup), { exitCode: 7, stderr: /the service runs/ }, verb);
});

for (const [verb, save] of [
  ['restore', 'backup'],
  ['import', 'export'],
] as const) {
  t.test(`given what ${save} wrote, when ${verb} takes it after a loss, then all is as it was and the damaged file is kept`, async (t) => {
    const { folder, dataDir, file, database, entries, db } = await prepare(t);
    const saved = join(folder, 'saved');
    await db(save, saved);
    const before = await entries();
    await database.append({ kind: 'service.start' });
    await writeFile(join(dataDir, 'audit.head'), JSON.stringify(database.head()));
    await database.close();
    await truncate(file, 50_000);

    const ran = await db(verb, saved);

    t.match(ran, { exitCode: 0, stdout: /up to row 701[\s\S]*kept as lattice-set-aside-[\s\S]*1 rows of audit/ });
    t.same(await entries(), before);
    t.same(JSON.parse(await readFile(join(dataDir, 'audit.head'), 'utf8')).seq, 701);
    t.match(await inspectDatabase(file, join(dataDir, 'audit.head')), { fault: null });
    t.equal((await readdir(dataDir)).filter((name) => /^lattice-set-aside-.*(\.db|\.head)$/.test(name)).length, 2);
    t.notOk((await readdir(dataDir)).includes('safe-mode.json'));
    t.match(await db('check'), { exitCode: 0 });
  });
}

t.test('given a file that is no sound backup, when it is restored, then it is refused and nothing has changed', async (t) => {
  const { folder, dataDir, file, database, db } = await prepare(t);
  await db('backup', join(folder, 'backup.db'));
  await db('export', join(folder, 'export.ndjson'));
  await database.close();
  const lines = (await readFile(join(folder, 'export.ndjson'), 'utf8')).trimEnd().split('\n');
  const write = (name: string, text: string | Buffer) => writeFile(join(folder, name), text);
  const bytes = await readFile(join(folder, 'backup.db'));
  await write('cut.db', bytes.subarray(0, bytes.length / 2));
  await write('text.db', 'notes '.repeat(100));
  await write('cut.ndjson', lines.slice(0, -1).join('\n'));
  await write('changed.ndjson', lines.map((line) => line.replace('value 690', 'value 069')).join('\n'));
  await write('mixed.ndjson', lines.map((line) => line.replace('"table":"tokens"', '"table":"sqlite_schema"')).join('\n'));
  await copyFile(join(folder, 'backup.db'), join(folder, 'live.db'));
  await appendFile(join(folder, 'live.db-wal'), 'a log');
  const before = { bytes: await readFile(file), names: await readdir(dataDir) };

  for (const [verb, name, exitCode] of [
    ['restore', 'cut.db', 5],
    ['restore', 'text.db', 5],
    ['restore', 'live.db', 2],
    ['import', 'cut.ndjson', 5],
    ['import', 'changed.ndjson', 5],
    ['import', 'mixed.ndjson', 5],
    ['import', 'backup.db', 5],
  ] as const)
    t.match(await db(verb, join(folder, name)), { exitCode }, `${verb} ${name}`);

  t.ok(before.bytes.equals(await readFile(file)));
  t.same(
    (await readdir(dataDir)).filter((name) => !/lock|-wal|-shm/.test(name)),
    before.names.filter((name) => !/-wal|-shm/.test(name)),
  );
});

t.test('given a backup whose audit was changed, when it is restored, then it is refused', async (t) => {
  const { folder, database, db } = await prepare(t);
  const backup = join(folder, 'backup.db');
  await db('backup', backup);
  await database.close();
  const bytes = await readFile(backup);
  const at = bytes.indexOf('r-345');
  bytes.write('r-999', at);
  await writeFile(backup, bytes);

  t.match(await db('restore', backup), { exitCode: 5, stderr: /broken at row 347: changed/ });
});

t.test('given a damaged file, when it is checked, then the fault and what to do are told', async (t) => {
  const { file, database, db } = await prepare(t);
  await database.close();
  await truncate(file, 50_000);

  t.match(await db('check'), { exitCode: 5, stderr: /cannot be used[\s\S]*hint/ });
});
