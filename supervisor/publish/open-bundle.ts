import { join, resolve } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { manifestLimits } from '../../protocol/manifest.ts';
import { BundleFault, readCapped } from '../read-bundle.ts';

/** Reads both files of a bundle as the service would: no link followed, each within its cap. */
export function openBundle(folder: string): { home: string; manifest: Buffer; artifact: Buffer } {
  const home = resolve(folder);
  try {
    const manifest = readCapped(join(home, 'manifest.json'), 'manifest.json', manifestLimits.manifestBytes);
    return { home, manifest, artifact: readCapped(join(home, 'artifact'), 'artifact', manifestLimits.artifactBytes) };
  } catch (error) {
    if (!(error instanceof BundleFault)) throw error;
    const hint = 'a bundle is a folder with manifest.json and artifact; lattice pack makes one';
    throw new HostError('verification-failed', `${home}: ${error.message}`, { rule: error.code, hint }, { cause: error });
  }
}
