import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeArchive } from './make-tar.ts';
import type { BundlePlace } from './open-bundle-store.ts';
import { signV1, signV2 } from './public-bundle.ts';
import { writeBundle } from './signed-bundle.ts';

const swapper = fileURLToPath(new URL('./swap-bundles.ts', import.meta.url));

/** Scans and loads as long as another process swaps the bundle; tells what was verified, and every byte that was not signed so. */
export async function raceSwaps({ folder, pluginDir, bundles, key }: BundlePlace, { swaps, seed }: { swaps: number; seed: number }) {
  const archive = makeArchive([
    { name: 'bin/plugin', body: 'v2' },
    { name: 'lib/data', body: 'data' },
  ]);
  const [one, two] = [Buffer.from('one'), Buffer.from('two')];
  const manifests = [signV1(one, key.privateKey), signV1(two, key.privateKey, { version: '2' }), signV2(archive, key.privateKey)];
  const artifacts = [one, two, archive];
  const known = new Map(manifests.map((manifest, at) => [hash('sha256', manifest, 'hex'), ['one', 'two', 'v2'][at]]));
  const variants = join(folder, 'variants');
  for (const [at, manifest] of manifests.entries()) writeBundle(variants, String(at), manifest, artifacts[at] ?? one);
  writeBundle(variants, '3', manifests[0] ?? one, Buffer.from('evil'));
  writeBundle(variants, '4', manifests[2] ?? one, two);

  const child = spawn('/usr/bin/env', ['-i', process.execPath, swapper, pluginDir, variants, String(swaps), String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  await once(child.stdout, 'data');
  const counts = { scans: 0, verified: 0, foreign: 0 };
  while (!isOver) {
    counts.scans++;
    for (const { bundleSha256 } of (await bundles.scan()).verified.values()) {
      counts.verified++;
      const { artifact, files } = await bundles.load(bundleSha256);
      if (artifact.toString() !== known.get(bundleSha256)) counts.foreign++;
      if (files.length !== (artifact.toString() === 'v2' ? 2 : 0)) counts.foreign++;
    }
    await bundles.collect((sha) => known.has(sha));
  }
  return { ...counts, exitCode: child.exitCode, known: [...known.keys()] };
}
