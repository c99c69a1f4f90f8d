import { readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { verifyChain } from '../../../supervisor/audit-chain.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { findDamagedEntries } from '../../../supervisor/kv-checksums.ts';
import { createKvStore } from '../../../supervisor/kv-store.ts';
import { listMigrations, migrationsDir } from '../../../supervisor/migrate.ts';
import { withReader } from '../../../supervisor/storage/back-up.ts';
import { openOrSetAside } from '../../../supervisor/storage/open-or-set-aside.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { testFolder } from '../../support/test-folder.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/schemas');

async function place(t: Test, name: string) {
  const folder = testFolder(t);
  const file = join(folder, 'lattice.db');
  await writeFile(file, gunzipSync(await readFile(join(fixtures, name))), { mode: 0o600 });
  const open = () => openOrSetAside({ file, headFile: join(folder, 'audit.head'), clock: createRealClock(), log: createQuietLog() });
  return { folder, file, open };
}

for (const name of readdirSync(fixtures)) {
  t.test(`given ${name}, when it is opened, then it is up to date, nothing is lost, and what it was is kept`, async (t) => {
    const { folder, open } = await place(t, name);
    const schema = Number(/\d+/.exec(name)?.[0]);
    const newest = (await listMigrations(migrationsDir)).length;

    const { database } = await open();
    t.teardown(() => database?.close());

    t.same(await database?.read.get('PRAGMA user_version'), { user_version: newest });
    t.match(await database?.read.get('SELECT * FROM plugins'), {
      id: 'example.hello',
      publisher: 'example',
      status: 'installed',
      manifest: /kv:read/,
    });
    t.match(await database?.read.get('SELECT * FROM kv_entries'), { key: 'colour', value: 'green', revision: 1 });
    t.same(database && (await findDamagedEntries(database.read)), [], 'the checksums are those of what was there');
    t.match(database && (await createKvStore({ database, quota: { keys: 9, bytes: 999 } }).get('plugin:example.hello', 'colour')), {
      value: 'green',
    });
    t.match(await database?.read.get('SELECT * FROM tokens'), { id: 't-0', scopes: '["audit:read"]' });
    t.match(database && (await verifyChain(database.read, null)), { ok: true, rows: 20 });
    const kept = (await readdir(folder)).filter((found) => found.startsWith('lattice-schema-'));
    t.same(kept, schema === newest ? [] : [`lattice-schema-${schema}.db`]);
    for (const copy of kept)
      t.same(await withReader(join(folder, copy), (reader) => reader.get('PRAGMA user_version')), { user_version: schema });
  });
}

t.test('given a place where no copy can be kept, when an old schema is opened, then it is refused and stays as it is', async (t) => {
  const { folder, file, open } = await place(t, 'schema-005.db.gz');
  await mkdir(join(folder, 'lattice-schema-5.db'));

  await t.rejects(open(), { code: 'storage-unavailable', details: { rule: 'no-copy-before-migration', hint: String } });

  t.same(await withReader(file, (reader) => reader.get('PRAGMA user_version')), { user_version: 5 });
});
