import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { openDatabase } from '../../supervisor/database.ts';
import { createKvStore } from '../../supervisor/kv-store.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { runVerb } from '../support/run-cli.ts';
import { testFolder } from '../support/test-folder.ts';

const bucket = 'plugin:example.hello';
const entry: AuditEntry = { kind: 'host.decision', plugin: 'example.hello', method: 'kv.put', verdict: 'allow', requestId: 'r-1' };
const damaged = { code: 'storage-unavailable', details: { rule: 'damaged-entry', bucket, key: 'colour', hint: String } };

/** A store with two entries, as it is opened after the statement has changed the file behind its back. */
async function openDamaged(t: Test, sql: string) {
  const dataDir = testFolder(t);
  const file = join(dataDir, 'lattice.db');
  const open = () => openDatabase({ file, clock: createRealClock(), log: createQuietLog() });
  const before = await open();
  const writing = createKvStore({ database: before, quota: { keys: 10, bytes: 10_000 } });
  await writing.put(bucket, 'colour', 'green', undefined, entry);
  await writing.put(bucket, 'whole', 'yes', undefined, entry);
  await before.close();
  const connection = await openConnection(file, openModes.write);
  await connection.exec(sql);
  await connection.close();
  const database = await open();
  t.teardown(() => database.close());
  return { dataDir, store: createKvStore({ database, quota: { keys: 10, bytes: 10_000 } }) };
}

const changes: Record<string, { set: string; inRow: boolean }> = {
  'a bit of its value': { set: "value = 'grden'", inRow: false },
  'its value, by one that is no text': { set: "value = cast(x'67ff65656e' AS TEXT)", inRow: false },
  'its revision': { set: 'revision = 2', inRow: true },
  'its size': { set: 'bytes = 12', inRow: true },
  'the checksum of its value': { set: 'value_crc = value_crc + 1', inRow: true },
  'the checksum of the rest': { set: 'entry_crc = entry_crc + 1', inRow: true },
};

for (const [name, { set, inRow }] of Object.entries(changes)) {
  t.test(
    `given an entry of which the disk changed ${name}, when it is asked for, then it is refused by name, and others are not`,
    async (t) => {
      const { dataDir, store } = await openDamaged(t, `UPDATE kv_entries SET ${set} WHERE key = 'colour'`);

      await t.rejects(async () => store.get(bucket, 'colour'), damaged);
      t.same(await store.get(bucket, 'whole'), { value: 'yes', revision: 2 });
      if (inRow) {
        await t.rejects(store.list(bucket, { limit: 10 }), damaged);
        for (const revision of [0, 1, 2])
          await t.rejects(store.put(bucket, 'colour', 'blue', revision, entry), damaged, `revision ${revision}`);
        await t.rejects(store.delete(bucket, 'colour', 1, entry), damaged);
      }
      if (!set.startsWith('bytes'))
        t.match(await runVerb(['db', 'check'], { LATTICE_DATA_DIR: dataDir }), {
          exitCode: 5,
          stderr: /"colour" of plugin:example.hello is damaged/,
        });
    },
  );
}

t.test('given an entry under another key, when it is asked for there, then it is refused', async (t) => {
  const { store } = await openDamaged(t, "UPDATE kv_entries SET key = 'colous' WHERE key = 'colour'");

  await t.rejects(async () => store.get(bucket, 'colous'), { code: 'storage-unavailable', details: { key: 'colous' } });
});

t.test('given a damaged entry, when it is stored anew or deleted without a revision, then it is mended', async (t) => {
  const { store } = await openDamaged(t, "UPDATE kv_entries SET value = 'grden', revision = 9 WHERE key = 'colour'");

  const { revision } = await store.put(bucket, 'colour', 'blue', undefined, entry);

  t.same(await store.get(bucket, 'colour'), { value: 'blue', revision });
  t.same(await store.put(bucket, 'colour', 'red', revision, entry), { revision: revision + 1 });
  t.match(await store.delete(bucket, 'colour', undefined, entry), { deleted: true });
});

t.test('given a stored manifest that is not the accepted one, when the database is checked, then it is named', async (t) => {
  const sha = 'ab'.repeat(32);
  const { dataDir } = await openDamaged(
    t,
    `INSERT INTO plugins (id, publisher, owner, name, type, version, bundle_sha256, artifact_sha256, manifest, status, created_at, updated_at)
     VALUES ('example.hello', 'p', 'p', 'Hello', 'system', '1.0.0', '${sha}', '${sha}', '{}', 'installed', '', '')`,
  );

  t.match(await runVerb(['db', 'check'], { LATTICE_DATA_DIR: dataDir }), {
    exitCode: 5,
    stderr: /manifest of example.hello 1.0.0 is not the one/,
  });
});
