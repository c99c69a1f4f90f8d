import { hash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { HostError } from '../../protocol/errors.ts';
import type { BundleFile } from '../loaded-bundle.ts';
import type { Launch } from '../runner.ts';
import { type CageFile, cageFilesMost } from '../sandbox/launch.ts';

/** Held in memory while the plugin is armed, and written into each cage: a file of an archive is for the dashboard, or small. */
const cageBytesMost = 16 * 1024 * 1024;

/**
 * The files that a plugin finds beside its program, as the bytes that were just hashed. What lies under `ui/` is the dashboard's. Null when they
 * are too many or too large for every cage: then the program stands alone, as it does on the public server.
 */
export async function readCageFiles({ files, entryPath }: Pick<Launch, 'files' | 'entryPath'>): Promise<CageFile[] | null> {
  const shown = files.filter(({ path }) => path !== entryPath && !path.startsWith('ui/'));
  const bytes = shown.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (shown.length > cageFilesMost || bytes > cageBytesMost) return null;
  return Promise.all(shown.map(async (file) => ({ path: file.path, bytes: await readChecked(file), isExecutable: file.isExecutable })));
}

async function readChecked({ path, stagedPath, sizeBytes, sha256 }: BundleFile): Promise<Buffer> {
  await using file = await open(stagedPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const bytes = Buffer.alloc(sizeBytes);
  const { bytesRead } = await file.read(bytes, 0, sizeBytes, 0);
  if (bytesRead === sizeBytes && hash('sha256', bytes) === sha256) return bytes;
  throw new HostError('verification-failed', `staged-copy-changed: ${path} is not what was verified`, {
    rule: 'staged-copy-changed',
    hint: 'scan again: lattice plugins rescan',
  });
}
