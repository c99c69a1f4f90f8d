import { type ManifestFault, parseManifest } from '../protocol/manifest.ts';
import { readArchive } from './read-archive.ts';
import { asFault } from './stage-bundle.ts';
import { findEntry, requireNamed } from './unpack-archive.ts';

export type CheckJob = { kind: 'check'; manifest: Uint8Array; artifact: Uint8Array; platform: string };

/** Reads a v2 archive without writing it anywhere; null when it could be staged. */
export async function checkArchive({ manifest, artifact, platform }: CheckJob): Promise<ManifestFault | null> {
  try {
    const parsed = parseManifest(manifest);
    if (!parsed.ok) return parsed.fault;
    const entry = findEntry(parsed.manifest, platform);
    const archive = Buffer.from(artifact.buffer, artifact.byteOffset, artifact.byteLength);
    requireNamed(parsed.manifest, entry, await readArchive(archive, { folder() {}, file: () => ({ write() {}, end() {} }) }));
    return null;
  } catch (error) {
    return asFault(error);
  }
}
