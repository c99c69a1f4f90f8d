import { hash } from 'node:crypto';
import { chmodSync, readdirSync, renameSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type ManifestFault, manifestLimits, parseManifest } from '../protocol/manifest.ts';
import type { Manifest } from '../protocol/manifest-form.ts';
import { archiveLimits } from './archive-paths.ts';
import type { BundleFile } from './loaded-bundle.ts';
import { nameBundle } from './manifest-verify.ts';
import { type Inventory, readArchive } from './read-archive.ts';
import { BundleFault, hashFile, inFolder, readCapped } from './read-bundle.ts';
import { asFault } from './stage-bundle.ts';
import { removeTree, withIncoming } from './staging-folder.ts';
import { findEntry, requireNamed, unpackArchive } from './unpack-archive.ts';

export type LoadJob = { kind: 'load'; bundleSha256: string; staging: string; platform: string };
export type Loaded =
  | {
      ok: true;
      manifest: Uint8Array;
      artifact: Uint8Array; // what is run
      artifactSha256: string; // what the manifest pins
      entry: { path: string; sha256: string };
      root: string | null;
      files: BundleFile[];
    }
  | { ok: false; fault: ManifestFault };

/** Reads a staged bundle back for a start: its digests are taken of the very bytes that are handed on. */
export async function loadStaged(job: LoadJob): Promise<Loaded> {
  try {
    return await load(job);
  } catch (error) {
    return { ok: false, fault: asFault(error) };
  }
}

async function load({ staging, bundleSha256, platform }: LoadJob): Promise<Loaded> {
  const home = join(staging, bundleSha256);
  const { manifest, artifact } = await inFolder(home, (at) => ({
    manifest: readCapped(at('manifest.json'), 'manifest.json', manifestLimits.manifestBytes),
    artifact: readCapped(at('artifact'), 'artifact', manifestLimits.artifactBytes),
  }));
  const artifactSha256 = hash('sha256', artifact, 'hex');
  const parsed = parseManifest(manifest);
  if (!parsed.ok || nameBundle(manifest, parsed.manifest, artifactSha256) !== bundleSha256)
    throw new BundleFault('staged-copy-changed', 'the staged manifest is not the accepted one');
  if (parsed.manifest.digest_sha256 !== '' && parsed.manifest.digest_sha256 !== artifactSha256)
    throw new BundleFault('digest-mismatch', 'the staged artifact is not the one that the manifest pins');
  const unpacked = parsed.manifest.form === 'v2' ? await loadArchive(home, artifact, parsed.manifest, { staging, platform }) : null;
  const bytes = ownBuffer(unpacked?.entryBytes ?? artifact);
  return {
    ok: true,
    manifest,
    artifact: bytes,
    artifactSha256,
    entry: { path: unpacked?.entry ?? 'artifact', sha256: bytes === artifact ? artifactSha256 : hash('sha256', bytes, 'hex') },
    root: unpacked ? join(home, 'files') : null,
    files: unpacked?.files ?? [],
  };
}

/** Bytes that can be moved to the main thread: a small Buffer shares its memory with others, so it is copied; 64 MiB are not. */
const ownBuffer = (bytes: Buffer): Uint8Array => (bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes));

/**
 * The entry point comes out of the archive itself, whose digest was just taken. The unpacked files are held against it, one by one; a tree
 * that is not the archive's is unpacked anew.
 */
async function loadArchive(home: string, archive: Buffer, manifest: Manifest, place: { staging: string; platform: string }) {
  const entry = findEntry(manifest, place.platform);
  const parts: Buffer[] = [];
  const inventory = await readArchive(archive, {
    folder() {},
    file: (path) => ({ write: (bytes) => void (path === entry && parts.push(Buffer.from(bytes))), end() {} }),
  });
  requireNamed(manifest, entry, inventory);
  const root = join(home, 'files');
  if (!isTree(root, inventory)) {
    await replaceTree(home, root, (fresh) => unpackArchive(archive, fresh, { manifest, platform: place.platform }), place.staging);
    if (!isTree(root, inventory)) throw new BundleFault('staged-copy-changed', 'the unpacked files are not those of the archive');
  }
  const files = [...inventory].map(([path, { sizeBytes, sha256 }]): BundleFile => {
    return { path, stagedPath: join(root, path), sizeBytes, sha256, isExecutable: path === entry };
  });
  return { entry, entryBytes: Buffer.concat(parts), files };
}

/** Whether a folder holds exactly the files of an inventory. */
function isTree(root: string, inventory: Inventory): boolean {
  try {
    const found = readdirSync(root, { withFileTypes: true, recursive: true });
    if (found.some((each) => !each.isDirectory() && !each.isFile())) return false;
    const paths = found.filter((each) => each.isFile()).map((each) => relative(root, join(each.parentPath, each.name)));
    if (paths.length !== inventory.size) return false;
    return paths.every((path) => {
      const wanted = inventory.get(path);
      return wanted !== undefined && hashFile(join(root, path), 'a file', archiveLimits.fileBytes).sha256 === wanted.sha256;
    });
  } catch {
    return false; // gone, replaced by something else, or unreadable: all the same
  }
}

const replaceTree = (home: string, root: string, unpack: (fresh: string) => Promise<unknown>, staging: string): Promise<void> =>
  withIncoming(staging, async (incoming) => {
    const fresh = join(incoming, 'files');
    await unpack(fresh);
    chmodSync(home, 0o700);
    chmodSync(fresh, 0o700); // a folder that is moved is written to
    removeTree(root);
    renameSync(fresh, root);
    chmodSync(root, 0o500);
    chmodSync(home, 0o500);
  });
