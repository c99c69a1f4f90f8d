// `node make-schema-fixture.ts <schema> <file.gz>`: a database as the version with that schema left it. Run once for each schema that is released.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { emptyHead } from '../../supervisor/audit-chain.ts';
import { createAuditInserter, createEntryEncoder } from '../../supervisor/audit-rows.ts';
import { prepareDatabaseFile } from '../../supervisor/database-file.ts';
import { fillChecksums } from '../../supervisor/kv-checksums.ts';
import { listMigrations, migrationsDir } from '../../supervisor/migrate.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';

const [schema = '', target = ''] = process.argv.slice(2);
const time = '2026-11-22T10:00:00.000Z';
const digest = 'ab'.repeat(32);
const folder = mkdtempSync(join(tmpdir(), 'lattice-schema-'));
const file = join(folder, 'lattice.db');
await prepareDatabaseFile(file);
const connection = await openConnection(file, openModes.write);
for (const step of (await listMigrations(migrationsDir)).slice(0, Number(schema)))
  await connection.exec(readFileSync(join(migrationsDir, step.file), 'utf8'));
await connection.exec(`PRAGMA user_version = ${Number(schema)}; PRAGMA journal_mode = WAL`);
const encode = createEntryEncoder();
const entries = Array.from({ length: 20 }, (_, at) =>
  encode({ kind: 'host.decision', plugin: 'example.hello', method: 'kv.put', verdict: 'allow', requestId: `r-${at}` }, time),
);
await createAuditInserter(connection)(emptyHead, entries);
await connection.run(
  `INSERT INTO plugins (id, publisher, name, type, version, bundle_sha256, artifact_sha256, manifest, status, installed_at, created_at, updated_at)
   VALUES ('example.hello', 'example', 'Hello', 'tool', '1.0.0', ?, ?, '{"capabilities":["kv:read"],"egress":[]}', 'installed', ?, ?, ?)`,
  [digest, digest, time, time, time],
);
await connection.run("INSERT INTO kv_buckets VALUES ('plugin:example.hello', 1, 11, 1)");
await connection.run(
  Number(schema) < 11
    ? "INSERT INTO kv_entries VALUES ('plugin:example.hello', 'colour', 1, 11, 'green')"
    : "INSERT INTO kv_entries VALUES ('plugin:example.hello', 'colour', 1, 11, 0, 0, 'green')",
);
if (Number(schema) >= 11) await fillChecksums(connection);
await connection.run("INSERT INTO tokens (id, name, hash, scopes, created_at) VALUES ('t-0', 'admin', ?, '[\"audit:read\"]', ?)", [
  digest,
  time,
]);
await connection.close();
writeFileSync(target, gzipSync(readFileSync(file), { level: 9 }));
rmSync(folder, { recursive: true });
