import { hash, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asHostError, HostError } from '../../protocol/errors.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { type PackedPlugin, packPlugin } from '../publish/pack-plugin.ts';
import { placeBundle } from '../publish/place-bundle.ts';
import { developmentPolicy, ensureDevelopmentKey } from './development-key.ts';

const checkout = fileURLToPath(new URL('../../plugins', import.meta.url));
const sha256 = /^[0-9a-f]{64}$/;

/** Packs and signs the plugins of the checkout with the development key, and writes the policy that trusts it. Returns where both lie. */
export async function packExamples(
  dataDir: string,
  say: (line: string) => void,
  sources = checkout,
): Promise<{ pluginDir: string; trustFile: string }> {
  const { key, created } = ensureDevelopmentKey(dataDir);
  if (created) say('made a key on this machine to sign the example plugins with (dev/publisher.key in the data directory)');
  const pluginDir = join(dataDir, 'plugins');
  const trustFile = join(dataDir, 'dev', 'trust.json');
  const listFile = join(dataDir, 'dev', 'packed.json');
  mkdirSync(pluginDir, { recursive: true, mode: 0o700 });
  writeFileSync(trustFile, developmentPolicy(key), { mode: 0o600 });
  const folders = readdirSync(sources).filter((name) => existsSync(join(sources, name, 'plugin.json')));
  const made = new Map<string, string>();
  for (const folder of folders.sort()) {
    const packed = await packFolder(sources, folder, key);
    if (placeBundle(packed, pluginDir)) say(`packed and signed ${packed.id}`);
    made.set(packed.id, hash('sha256', packed.manifest, 'hex'));
  }
  dropGone(readMade(listFile), made, pluginDir, say);
  writeFileSync(listFile, `${JSON.stringify(Object.fromEntries(made), null, 2)}\n`, { mode: 0o600 });
  return { pluginDir, trustFile };
}

/** Which of the plugins a fault is in is not always said by the fault. */
async function packFolder(sources: string, folder: string, key: KeyObject): Promise<PackedPlugin> {
  try {
    return await packPlugin(join(sources, folder), key);
  } catch (thrown) {
    if (!(thrown instanceof HostError)) throw thrown;
    const { code, message, details } = asHostError(thrown);
    throw new HostError(code, `plugins/${folder}: ${message.replaceAll(`${join(sources, folder)}/`, '')}`, details, { cause: thrown });
  }
}

/** What the start before made, by the SHA-256 of its manifest. The list is our own; what does not look like it counts for nothing. */
function readMade(listFile: string): Map<string, string> {
  const parsed = existsSync(listFile) ? parseStrict(readFileSync(listFile)) : null;
  if (!parsed?.ok || typeof parsed.value !== 'object' || parsed.value === null) return new Map();
  return new Map(
    Object.entries(parsed.value).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && sha256.test(entry[1])),
  );
}

/** A plugin whose sources are gone is not offered any longer. What somebody else put there stays. */
function dropGone(before: Map<string, string>, made: Map<string, string>, pluginDir: string, say: (line: string) => void): void {
  for (const id of readdirSync(pluginDir)) {
    const digest = before.get(id);
    if (digest === undefined || made.has(id)) continue;
    const file = join(pluginDir, id, 'manifest.json');
    if (!existsSync(file) || hash('sha256', readFileSync(file), 'hex') !== digest) continue;
    rmSync(join(pluginDir, id), { recursive: true });
    say(`removed the bundle of ${id}, whose sources are gone; if it is installed, it is not started again`);
  }
}
