import { chmod, lstat, open } from 'node:fs/promises';
import { HostError } from '../protocol/errors.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import { openConnection, openModes } from './sqlite-connection.ts';

/** Says in the file's header whose it is: "Latt". */
export const applicationId = 0x4c617474;
const magic = 'SQLite format 3\0';
const headerBytes = 100;

const refuse = ({ rule, detail }: { rule: string; detail: string }): never => {
  throw new HostError('storage-unavailable', `${detail}; it was left untouched`, {
    rule,
    hint: 'move the file away, or set LATTICE_DATA_DIR to the directory that holds this service’s data',
  });
};

/**
 * Creates the file, readable by its owner only, or makes sure that it is ours before SQLite may write to it. Called before this process
 * has a connection to it: closing any descriptor of the file would drop that connection's locks.
 */
export async function prepareDatabaseFile(file: string, reach: Reach = noFailpoints.reach): Promise<void> {
  const header = await readHeader(file);
  if (header === null) {
    await createEmpty(file);
    reach('database.made');
  } else if (header.length > 0) {
    const fault = judgeHeader(header);
    if (fault) refuse(fault);
    await chmod(file, 0o600);
    await syncLog(`${file}-wal`);
    return;
  }
  await markAsOurs(file);
  reach('database.marked');
}

/** Whether a file that is there, and not empty, is a database of ours: what is wrong with it, or null. */
export async function checkDatabaseFile(file: string): Promise<{ rule: string; detail: string } | null> {
  const header = await readHeader(file);
  return header === null ? null : judgeHeader(header);
}

function judgeHeader(header: Buffer): { rule: string; detail: string } | null {
  if (header.length < headerBytes || header.toString('latin1', 0, magic.length) !== magic)
    return { rule: 'not-a-database', detail: 'the database file is not an SQLite database' };
  if (header.readUInt32BE(68) !== applicationId)
    return { rule: 'foreign-database', detail: 'the database file belongs to another program' };
  return null;
}

/**
 * A crash may have left commits in the log that were never synced. They count from now on, and what is done by them, such as recording the head
 * of the audit, must not outlive them.
 */
async function syncLog(log: string): Promise<void> {
  const handle = await open(log, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw unreadable(error);
  });
  if (handle === null) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The mark goes into the main file at once, not into a log beside it, so that the header alone tells ours from others for ever. */
async function markAsOurs(file: string): Promise<void> {
  const connection = await openConnection(file, openModes.write);
  try {
    await connection.exec(`PRAGMA synchronous = FULL; PRAGMA application_id = ${applicationId}`);
  } finally {
    await connection.close();
  }
}

async function readHeader(file: string): Promise<Buffer | null> {
  const stats = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw unreadable(error);
  });
  if (stats === null) return null;
  if (!stats.isFile()) refuse({ rule: 'not-a-file', detail: 'where the database should be there is something that is not a plain file' });
  const handle = await open(file, 'r').catch((error: unknown) => Promise.reject(unreadable(error)));
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function createEmpty(file: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600).catch((error: unknown) => Promise.reject(unreadable(error)));
  await handle.close();
}

const unreadable = (cause: unknown): HostError =>
  new HostError(
    'storage-unavailable',
    `the database file cannot be opened: ${cause instanceof Error && 'code' in cause ? cause.code : 'unknown'}`,
    { hint: 'check that the data directory exists and belongs to the user of the service' },
    { cause },
  );
