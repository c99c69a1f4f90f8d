import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Manifest } from '../protocol/manifest-form.ts';
import { type ArchiveLimits, archiveLimits } from './archive-paths.ts';
import { type Inventory, readArchive } from './read-archive.ts';
import { BundleFault } from './read-bundle.ts';
import { createFile, sealTree } from './staging-folder.ts';

/** The file that a v2 manifest names for a platform. */
export function findEntry(manifest: Manifest, platform: string): string {
  const { entrypoints } = manifest;
  const entry = entrypoints !== null && Object.hasOwn(entrypoints, platform) ? entrypoints[platform] : undefined;
  if (entry === undefined) throw new BundleFault('no-entrypoint', `the manifest has no entry point for ${platform}`);
  return entry;
}

/** What a manifest names must be in its archive. */
export function requireNamed(manifest: Manifest, entry: string, inventory: Inventory): void {
  if (!inventory.has(entry)) throw new BundleFault('missing-file', 'the archive does not hold the entry point that the manifest names');
  if (manifest.ui_entrypoint !== undefined && !inventory.has(manifest.ui_entrypoint))
    throw new BundleFault('missing-file', 'the archive does not hold the ui entry point that the manifest names');
}

/** Unpacks a verified archive into a folder that must not be there yet; the caller removes what a failure leaves. */
export async function unpackArchive(
  archive: Buffer,
  root: string,
  { manifest, platform, limits = archiveLimits }: { manifest: Manifest; platform: string; limits?: ArchiveLimits },
): Promise<Inventory> {
  const entry = findEntry(manifest, platform);
  const open = new Set<{ abandon(): void }>();
  const makeFolder = (path: string): void => void mkdirSync(join(root, path), { recursive: true, mode: 0o700 });
  mkdirSync(root, { mode: 0o700 });
  try {
    const inventory = await readArchive(
      archive,
      {
        folder: makeFolder,
        file(path) {
          makeFolder(dirname(path));
          const file = createFile(join(root, path), path === entry ? 0o500 : 0o400);
          open.add(file);
          return {
            write: file.write,
            end() {
              file.end();
              open.delete(file);
            },
          };
        },
      },
      limits,
    );
    requireNamed(manifest, entry, inventory);
    sealTree(root);
    return inventory;
  } finally {
    for (const file of open) file.abandon();
  }
}
