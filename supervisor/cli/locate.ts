import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { isLoopback } from '../http/host-check.ts';
import { NotRunning } from './exit-codes.ts';

/** `tokenHint`: what would help where the service does not take the token. */
export type Service = { url: URL; token: string; tokenHint: string };
type Place = { environment: Readonly<Record<string, string | undefined>>; dataDir: string };

/** Where the service is, and a token for it: by LATTICE_URL and LATTICE_TOKEN_FILE, else by the data directory. */
export async function locateService({ environment, dataDir }: Place): Promise<Service> {
  const named = environment.LATTICE_URL || null;
  const url = parseUrl(named ?? (await readAddress(dataDir)));
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new HostError('forbidden', `no token is sent to ${url.host} over plain http`, {
      hint: 'use https, or an ssh tunnel to the loopback address of the service',
    });
  }
  const file = environment.LATTICE_TOKEN_FILE || null;
  // The admin token of this data directory is for the service of this data directory, not for one elsewhere.
  if (!file && named && !isLoopback(url.hostname)) {
    throw new HostError('invalid-params', 'LATTICE_URL names another machine, and there is no token for it', {
      hint: 'name its token file in LATTICE_TOKEN_FILE',
    });
  }
  const used = file ?? join(dataDir, 'admin.token');
  const tokenHint = `${used} ${file ? '(named in LATTICE_TOKEN_FILE) ' : ''}holds no token of the service at ${url.origin}: it is of another, revoked, or expired; name a token file in LATTICE_TOKEN_FILE${file ? ', or unset it for the admin.token of the data directory' : ''}`;
  return { url, token: await readTokenFile(used), tokenHint };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (
    !url ||
    !['http:', 'https:'].includes(url.protocol) ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.hash !== ''
  ) {
    throw new HostError('invalid-params', 'the address of the service is not a plain http or https URL', {
      hint: 'correct LATTICE_URL, like http://127.0.0.1:8088',
    });
  }
  return url;
}

async function readAddress(dataDir: string): Promise<string> {
  try {
    return (await readFile(join(dataDir, 'address'), 'utf8')).trim();
  } catch (error) {
    throw isErrno(error, 'ENOENT', 'ENOTDIR')
      ? new NotRunning(`no service has written its address to ${dataDir}`, error)
      : unreadable(join(dataDir, 'address'), error);
  }
}

/** Reads a token that only its owner can read. The file that is checked is the one that is read, whatever the name points to later. */
export async function readTokenFile(file: string): Promise<string> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw unreadable(file, error);
  });
  try {
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) {
      throw new HostError('forbidden', `the token file ${file} can be read or changed by others`, {
        hint: `chmod 600 ${file}, and if others may have read it: lattice token reset`,
      });
    }
    const token = (await handle.readFile('utf8')).trim();
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(token))
      throw new HostError('unauthenticated', `the file ${file} does not hold a token`, {
        hint: 'name the right file in LATTICE_TOKEN_FILE',
      });
    return token;
  } finally {
    await handle.close();
  }
}

const isErrno = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);

const unreadable = (file: string, error: unknown) =>
  isErrno(error, 'ENOENT', 'ENOTDIR')
    ? new HostError('unauthenticated', `there is no token file ${file}`, {
        hint: 'name one in LATTICE_TOKEN_FILE; the first start of the service writes admin.token in its data directory',
      })
    : new HostError(
        'forbidden',
        `${file} cannot be read`,
        { hint: 'run this as the user of the service, or name a token file of your own in LATTICE_TOKEN_FILE' },
        { cause: error },
      );
