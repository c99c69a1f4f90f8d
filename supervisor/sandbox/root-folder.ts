import { chmod, lstat, mkdir } from 'node:fs/promises';
import { HostError } from '../../protocol/errors.ts';

/** Where services that root runs on this machine keep what they share. */
export const runtimeFolder = '/run/lattice-runtime';

/** Makes the folder when there is none, and refuses one that anybody but this user could change. */
export async function makeOwnFolder(folder: string, mode: number): Promise<void> {
  await mkdir(folder, { mode }).catch(() => {}); // what matters is what is there now
  await requireOwnFolder(folder);
  await chmod(folder, mode); // whatever the umask of the service took away
}

export async function requireOwnFolder(folder: string): Promise<void> {
  const found = await lstat(folder).catch(() => null);
  if (found?.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return;
  throw new HostError(
    'sandbox-unavailable',
    `${found ? 'the folder of the runtime is not safely root’s own' : 'the folder of the runtime cannot be made'}`,
    {
      hint: `remove ${runtimeFolder}, make /run writable for root, and start the service again`,
    },
  );
}
