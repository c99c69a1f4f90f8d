import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { verifyChain } from '../audit-chain.ts';
import { readHeadFile } from '../audit-head.ts';
import { findDamagedEntries } from '../kv-checksums.ts';
import { findChangedManifests } from '../storage/accepted-manifests.ts';
import { backUp, withReader } from '../storage/back-up.ts';
import { inspectDatabase } from '../storage/inspect-database.ts';
import { exportDatabase, importDatabase } from '../storage/portable.ts';
import { type Restored, replaceDatabase, restore } from '../storage/restore.ts';
import type { Cli } from './cli.ts';
import { checkOwner, withLockedDataDir } from './offline.ts';

const mostTold = 20;

const databaseOf = (cli: Cli): string => join(cli.dataDir, 'lattice.db');

export async function checkDatabase(cli: Cli, named: string): Promise<void> {
  const own = named === '';
  const file = own ? databaseOf(cli) : resolve(named);
  if (own) await checkOwner(cli);
  const headFile = own ? join(cli.dataDir, 'audit.head') : `${file}.head`;
  const { fault, schema } = await inspectDatabase(file, headFile);
  if (fault)
    throw new HostError('verification-failed', `the database cannot be used: ${fault.detail}`, {
      rule: fault.rule,
      hint: 'keep a copy of it; lattice db restore <backup> puts a backup in its place',
    });
  const found = await withReader(file, async (reader) => ({
    integrity: (await reader.all<{ integrity_check: string }>('PRAGMA integrity_check(20)')).map((row) => row.integrity_check),
    audit: await verifyChain(reader, await readHeadFile(headFile)),
    entries: schema >= 11 ? await findDamagedEntries(reader) : [],
    bundles: await findChangedManifests(reader),
  }));
  const faults = found.integrity.filter((line) => line !== 'ok');
  if (!found.audit.ok) faults.push(`the audit is broken at row ${found.audit.seq}: ${found.audit.reason}`);
  const { entries, bundles } = found;
  for (const { bucket, key } of entries.slice(0, mostTold)) faults.push(`the entry ${JSON.stringify(key)} of ${bucket} is damaged`);
  if (entries.length > mostTold) faults.push(`${entries.length - mostTold} more entries are damaged`);
  for (const { id, version } of bundles) faults.push(`the manifest of ${id} ${version} is not the one that was accepted`);
  if (faults.length > 0)
    throw new HostError('verification-failed', faults.join('; '), { rule: 'damaged-database', faults, hint: 'restore a backup' });
  const rows = found.audit.ok ? found.audit.rows : 0;
  await cli.show({ ok: true, schema, audit: found.audit }, () => `the database is whole: schema ${schema}, ${rows} rows of audit\n`);
}

export async function backUpDatabase(cli: Cli, target: string): Promise<void> {
  await checkOwner(cli);
  const head = await backUp(databaseOf(cli), resolve(target));
  await cli.show({ file: resolve(target), head }, () => `backed up; its audit is whole up to row ${head.seq} (${head.hash})\n`);
}

export async function restoreDatabase(cli: Cli, backup: string): Promise<void> {
  await tell(cli, await withLockedDataDir(cli, () => restore(cli.dataDir, resolve(backup), cli.io.clock)));
}

export async function importRows(cli: Cli, source: string): Promise<void> {
  const build = (candidate: string) => importDatabase(resolve(source), candidate);
  await tell(cli, await withLockedDataDir(cli, () => replaceDatabase(cli.dataDir, cli.io.clock, build)));
}

async function tell(cli: Cli, restored: Restored): Promise<void> {
  const { head, set_aside: kept, lost_rows: lost } = restored;
  const lines = [`restored; its audit is whole up to row ${head.seq} (${head.hash})`];
  if (kept !== null) lines.push(`the former database was kept as ${kept}`);
  if (lost > 0) lines.push(`${lost} rows of audit that had been recorded are newer than this backup, and with them what they tell of`);
  await cli.show(restored, () => `${lines.join('\n')}\n`);
}

export async function exportRows(cli: Cli, target: string): Promise<void> {
  await checkOwner(cli);
  if (target === '-') {
    const { stdout } = cli.io;
    await exportDatabase(databaseOf(cli), (text) => new Promise((done) => stdout.write(text, () => done())));
    return;
  }
  const handle = await open(resolve(target), 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    throw new HostError('conflict', 'there is already a file of this name', { rule: 'file-exists', hint: 'choose another name' });
  });
  try {
    const done = await exportDatabase(databaseOf(cli), async (text) => void (await handle.write(text)));
    await handle.sync();
    await cli.show(done, () => `exported ${done.rows} rows\n`);
  } finally {
    await handle.close();
  }
}
