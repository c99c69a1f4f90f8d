import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import type { AdminFile } from '../admin-token.ts';
import type { Head, Verdict } from '../audit-chain.ts';
import { verifyKept } from '../audit-head.ts';
import { lockDataDir } from '../data-lock.ts';
import { type Database, openDatabase } from '../database.ts';
import type { Log } from '../log.ts';
import { withReader } from '../storage/back-up.ts';
import { inspectDatabase } from '../storage/inspect-database.ts';
import { createTokens } from '../tokens.ts';
import type { Cli } from './cli.ts';

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }; // the verb says what went wrong

/** Files that another user leaves in the data directory, root above all, would keep the service from starting. */
export async function checkOwner(cli: Cli, name = 'lattice.db'): Promise<void> {
  const { uid } = await stat(join(cli.dataDir, name)).catch((error: unknown) => {
    throw new HostError(
      'not-found',
      `there is no database in ${cli.dataDir}`,
      { hint: 'name the data directory in LATTICE_DATA_DIR; lattice doctor says whether the service is in safe mode' },
      { cause: error },
    );
  });
  if (uid !== cli.io.uid)
    throw new HostError('forbidden', `${cli.dataDir} belongs to another user`, { hint: `run this as the user with uid ${uid}` });
}

/** Holds the lock of the data directory meanwhile, so that no service runs or starts on it. */
export async function withLockedDataDir<T>(cli: Cli, job: () => Promise<T>): Promise<T> {
  await checkOwner(cli, '.');
  const lock = await lockDataDir(cli.dataDir).catch((error: unknown) => {
    if (!(error instanceof HostError) || error.code !== 'conflict') throw error;
    throw new HostError('conflict', `the service runs on ${cli.dataDir}`, { hint: 'stop it first' }, { cause: error });
  });
  try {
    return await job();
  } finally {
    await lock.release();
  }
}

/** Works on the database of a stopped service. One that is not whole is not opened for writing: that could hide what is wrong. */
async function withStoppedService<T>(cli: Cli, job: (database: Database) => Promise<T>): Promise<T> {
  const file = join(cli.dataDir, 'lattice.db');
  await checkOwner(cli);
  return withLockedDataDir(cli, async () => {
    const { fault } = await inspectDatabase(file, join(cli.dataDir, 'audit.head'));
    if (fault)
      throw new HostError('storage-unavailable', `the database cannot be used: ${fault.detail}`, {
        rule: fault.rule,
        hint: 'lattice db check',
      });
    const database = await openDatabase({ file, clock: cli.io.clock, log: quiet });
    try {
      return await job(database);
    } finally {
      await database.close();
    }
  });
}

/** Reads only, so that a database that is not whole stays as it is. */
export async function verifyOffline(cli: Cli, against: Head | null): Promise<Verdict> {
  await checkOwner(cli);
  const [file, headFile] = [join(cli.dataDir, 'lattice.db'), join(cli.dataDir, 'audit.head')];
  return withLockedDataDir(cli, () => withReader(file, (reader) => verifyKept(reader, headFile, against)));
}

export const resetAdminToken = (cli: Cli): Promise<AdminFile> =>
  withStoppedService(cli, (database) => createTokens({ database, clock: cli.io.clock }).resetAdmin(cli.dataDir, null));
