import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import type { AdminFile } from '../admin-token.ts';
import { type Verdict, verifyChain } from '../audit-chain.ts';
import { readHeadFile } from '../audit-head.ts';
import { lockDataDir } from '../data-lock.ts';
import { type Database, openDatabase } from '../database.ts';
import type { Log } from '../log.ts';
import { createTokens } from '../tokens.ts';
import type { Cli } from './cli.ts';

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }; // the verb says what went wrong

/** Works on the database of a stopped service, and holds its lock meanwhile, so that it does not start. */
async function withStoppedService<T>(cli: Cli, job: (database: Database) => Promise<T>): Promise<T> {
  const file = join(cli.dataDir, 'lattice.db');
  const { uid } = await stat(file).catch((error: unknown) => {
    throw new HostError(
      'not-found',
      `there is no database in ${cli.dataDir}`,
      { hint: 'name the data directory in LATTICE_DATA_DIR' },
      { cause: error },
    );
  });
  if (uid !== cli.io.uid) {
    // Files that another user leaves there, root above all, would keep the service from starting.
    throw new HostError('forbidden', `${cli.dataDir} belongs to another user`, { hint: `run this as the user with uid ${uid}` });
  }
  const lock = await lockDataDir(cli.dataDir).catch((error: unknown) => {
    if (!(error instanceof HostError) || error.code !== 'conflict') throw error;
    throw new HostError('conflict', `the service runs on ${cli.dataDir}`, { hint: 'stop it first' }, { cause: error });
  });
  try {
    const database = await openDatabase({ file, clock: cli.io.clock, log: quiet });
    try {
      return await job(database);
    } finally {
      await database.close();
    }
  } finally {
    await lock.release();
  }
}

export const verifyOffline = (cli: Cli): Promise<Verdict> =>
  withStoppedService(cli, async ({ read }) => verifyChain(read, await readHeadFile(join(cli.dataDir, 'audit.head'))));

export const resetAdminToken = (cli: Cli): Promise<AdminFile> =>
  withStoppedService(cli, (database) => createTokens({ database, clock: cli.io.clock }).resetAdmin(cli.dataDir, null));
