import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { syncDirectory } from '../durable-file.ts';

const mostFolders = 32; // each at most 64 MiB
const incoming = '.incoming-';

/** A private folder for what was fetched. Nothing is ever started from here: the operator moves it on by hand. */
export async function createQuarantine(home: string) {
  await mkdir(home, { recursive: true, mode: 0o700 });
  for (const name of await readdir(home)) if (name.startsWith(incoming)) await rm(join(home, name), { recursive: true, force: true });

  return {
    /** Throws HostError before anything is fetched for which there is no room. */
    async checkRoom(): Promise<void> {
      const names = (await readdir(home)).filter((name) => !name.startsWith(incoming));
      if (names.length >= mostFolders)
        throw new HostError('quota-exceeded', `the quarantine holds ${names.length} bundles`, {
          rule: 'quarantine-full',
          hint: 'move what you want to the plugin directory, and remove the rest from quarantine/ in the data directory',
        });
    },

    /** Puts a bundle there in one step, in place of one of the same name, and answers the name of its folder. */
    async keep(name: string, files: { manifest: Buffer; artifact: Buffer }): Promise<string> {
      const temporary = await mkdtemp(join(home, incoming));
      try {
        await writePrivate(join(temporary, 'manifest.json'), files.manifest);
        await writePrivate(join(temporary, 'artifact'), files.artifact);
        await syncDirectory(temporary);
        await rm(join(home, name), { recursive: true, force: true });
        await rename(temporary, join(home, name));
        await syncDirectory(home);
        return name;
      } finally {
        await rm(temporary, { recursive: true, force: true });
      }
    },
  };
}

export type Quarantine = Awaited<ReturnType<typeof createQuarantine>>;

async function writePrivate(file: string, bytes: Buffer): Promise<void> {
  const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
