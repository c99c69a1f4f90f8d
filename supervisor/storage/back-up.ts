import { link, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { type Head, verifyChain } from '../audit-chain.ts';
import { createPrivateFile, syncDirectory, syncFile } from '../durable-file.ts';
import { type Connection, openConnection, openModes } from '../sqlite-connection.ts';

const busyMs = 5000;

/** A connection that can only read; a service may work on the database meanwhile. */
export async function withReader<T>(file: string, job: (reader: Connection) => Promise<T>): Promise<T> {
  const reader = await openConnection(file, openModes.read);
  try {
    await reader.all(`PRAGMA busy_timeout = ${busyMs}`);
    return await job(reader);
  } finally {
    await reader.close();
  }
}

/** The whole chain of a file, with what it must hold; throws where it breaks. */
export async function proveChain(file: string, recorded: Head | null): Promise<Head> {
  const verdict = await withReader(file, (reader) => verifyChain(reader, recorded));
  if (verdict.ok) return verdict.head;
  throw new HostError('verification-failed', `the audit in it is broken at row ${verdict.seq}: ${verdict.reason}`, {
    rule: 'audit-broken',
    seq: verdict.seq,
    hint: 'take another backup; if only audit.head is in the way and you know why, move it away first',
  });
}

/** Writes one consistent file beside the running service, proves its audit, and only then gives it its name. Nothing is written over. */
export async function backUp(file: string, target: string): Promise<Head> {
  const unfinished = `${target}.unfinished`;
  await rm(unfinished, { force: true });
  await createPrivateFile(unfinished, ''); // SQLite fills an empty file, and leaves its mode alone
  try {
    await withReader(file, (reader) => reader.run('VACUUM INTO ?', [unfinished]));
    const head = await proveChain(unfinished, null);
    await syncFile(unfinished);
    await link(unfinished, target).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? alreadyThere() : error;
    });
    await syncDirectory(dirname(target));
    return head;
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** What a migration would change, as it was. The name is that of the schema: a later try at the same migration keeps the later state. */
export async function keepBeforeMigration(file: string, connection: Connection, schema: number): Promise<string> {
  const kept = join(dirname(file), `lattice-schema-${schema}.db`);
  const unfinished = `${kept}.unfinished`;
  await rm(unfinished, { force: true });
  await createPrivateFile(unfinished, '');
  try {
    await connection.run('VACUUM INTO ?', [unfinished]);
    await syncFile(unfinished);
    await rename(unfinished, kept);
    await syncDirectory(dirname(file));
  } catch (error) {
    throw new HostError(
      'storage-unavailable',
      'the database could not be copied, so it was not brought up to date',
      { rule: 'no-copy-before-migration', hint: 'free space on the disk of the data directory and check its owner' },
      { cause: error },
    );
  } finally {
    await rm(unfinished, { force: true });
  }
  return basename(kept);
}

const alreadyThere = (): HostError =>
  new HostError('conflict', 'there is already a file of this name', {
    rule: 'file-exists',
    hint: 'choose another name: nothing is written over',
  });
