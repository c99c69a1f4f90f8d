import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packPlugin } from '../publish/pack-plugin.ts';
import { placeBundle } from '../publish/place-bundle.ts';
import { developmentPolicy, ensureDevelopmentKey } from './development-key.ts';

const sources = fileURLToPath(new URL('../../plugins', import.meta.url));

/** Packs and signs the plugins of the checkout with the development key, and writes the policy that trusts it. Returns where both lie. */
export async function packExamples(dataDir: string, say: (line: string) => void): Promise<{ pluginDir: string; trustFile: string }> {
  const { key, created } = ensureDevelopmentKey(dataDir);
  if (created) say('made a key on this machine to sign the example plugins with (dev/publisher.key in the data directory)');
  const pluginDir = join(dataDir, 'plugins');
  const trustFile = join(dataDir, 'dev', 'trust.json');
  mkdirSync(pluginDir, { recursive: true, mode: 0o700 });
  writeFileSync(trustFile, developmentPolicy(key), { mode: 0o600 });
  const folders = readdirSync(sources).filter((name) => existsSync(join(sources, name, 'plugin.json')));
  for (const folder of folders.sort()) {
    const packed = await packPlugin(join(sources, folder), key);
    if (placeBundle(packed, pluginDir)) say(`packed and signed ${packed.id}`);
  }
  return { pluginDir, trustFile };
}
