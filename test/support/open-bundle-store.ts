import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type BundleStore, createBundleStore } from '../../supervisor/bundle-store.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { acmePolicy } from './public-bundle.ts';
import { makeKey } from './signed-bundle.ts';
import { testFolder } from './test-folder.ts';

export type BundlePlace = { folder: string; pluginDir: string; stagingDir: string; bundles: BundleStore; key: ReturnType<typeof makeKey> };

/** A bundle store on empty folders, which trusts the publisher `acme` with a key of its own. */
export async function openBundleStore(t: Test, options: StoreOptions = {}): Promise<BundlePlace> {
  const place = await openBundlePlace(testFolder(t), options);
  t.teardown(() => place.bundles.close());
  return place;
}

type StoreOptions = { allowUnsigned?: boolean; policy?: (publicBase64: string) => Buffer };

export async function openBundlePlace(folder: string, options: StoreOptions = {}): Promise<BundlePlace> {
  const key = makeKey();
  const [pluginDir, stagingDir] = [join(folder, 'plugins'), join(folder, 'staging')];
  mkdirSync(pluginDir);
  const bundles = await createBundleStore({
    pluginDir,
    stagingDir,
    readPolicy: async () => (options.policy ?? acmePolicy)(key.publicBase64),
    allowUnsigned: options.allowUnsigned ?? false,
    platform: 'linux/amd64',
    clock: createRealClock(),
  });
  return { folder, pluginDir, stagingDir, bundles, key };
}
