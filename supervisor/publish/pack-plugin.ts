import { createPrivateKey, hash, type KeyObject, sign } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { parseManifest, signingBytes } from '../../protocol/manifest.ts';
import { parseStrict } from '../../protocol/strict-json.ts';

export type PackedPlugin = { id: string; manifest: Buffer; artifact: Buffer };

const mainFiles = ['plugin.ts', 'plugin.mts', 'plugin.js', 'plugin.mjs'];

/**
 * Packs and signs the source folder of a JavaScript plugin: its main file and all it imports become one ES module, `plugin.json` becomes the
 * manifest. The same input gives the same bytes. Throws HostError `invalid-params` that names the file and the fault.
 */
export async function packPlugin(folder: string, key: KeyObject): Promise<PackedPlugin> {
  const source = readSource(join(folder, 'plugin.json'));
  const artifact = await bundle(folder);
  const unsigned = { ...source, digest_sha256: hash('sha256', artifact, 'hex') };
  const signature = sign(null, signingBytes(unsigned), key).toString('base64');
  const manifest = Buffer.from(`${JSON.stringify({ ...unsigned, signature_ed25519: signature }, null, 2)}\n`, 'utf8');
  const parsed = parseManifest(manifest);
  if (!parsed.ok)
    throw new HostError('invalid-params', `${join(folder, 'plugin.json')}: ${parsed.fault.code}: ${parsed.fault.detail}`, {
      rule: parsed.fault.code,
      hint: 'mend plugin.json and pack again',
    });
  return { id: parsed.manifest.id, manifest, artifact };
}

function readSource(file: string): Record<string, unknown> {
  if (!existsSync(file))
    throw new HostError('invalid-params', `${file} does not exist`, { hint: 'a plugin folder holds plugin.json and plugin.ts' });
  const parsed = parseStrict(readFileSync(file));
  if (!parsed.ok) throw new HostError('invalid-params', `${file}: ${parsed.detail}`, { rule: parsed.rule });
  if (typeof parsed.value !== 'object' || parsed.value === null || Array.isArray(parsed.value))
    throw new HostError('invalid-params', `${file} must hold an object`);
  return parsed.value as Record<string, unknown>; // just checked
}

async function bundle(folder: string): Promise<Buffer> {
  const entry = mainFiles.map((name) => join(folder, name)).find((file) => existsSync(file));
  if (!entry)
    throw new HostError('invalid-params', `${folder} has no ${mainFiles.join(', ')}`, {
      hint: 'the main file exports definePlugin({ … })',
    });
  const { build } = await import('esbuild');
  try {
    const result = await build({
      entryPoints: [entry],
      absWorkingDir: folder,
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'node26',
      charset: 'utf8',
      legalComments: 'none',
      logLevel: 'silent',
    });
    return Buffer.from(result.outputFiles[0]?.contents ?? []);
  } catch (error) {
    throw new HostError(
      'invalid-params',
      `the plugin does not build: ${error instanceof Error ? error.message : 'unknown fault'}`,
      {},
      { cause: error },
    );
  }
}

/** Puts a packed plugin where a scan finds it, in one step; returns whether anything changed. */
export function placeBundle(packed: PackedPlugin, pluginDir: string): boolean {
  const home = join(pluginDir, packed.id);
  if (isSame(join(home, 'manifest.json'), packed.manifest) && isSame(join(home, 'artifact'), packed.artifact)) return false;
  mkdirSync(pluginDir, { recursive: true, mode: 0o700 });
  const temporary = mkdtempSync(join(pluginDir, '.packing-'));
  writeFileSync(join(temporary, 'manifest.json'), packed.manifest, { mode: 0o600 });
  writeFileSync(join(temporary, 'artifact'), packed.artifact, { mode: 0o600 });
  rmSync(home, { recursive: true, force: true });
  renameSync(temporary, home);
  return true;
}

const isSame = (file: string, bytes: Buffer): boolean => existsSync(file) && readFileSync(file).equals(bytes);

/** Reads a publisher's private key (PKCS #8 PEM). */
export function readPrivateKey(file: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(file));
  } catch (error) {
    throw new HostError(
      'invalid-params',
      `${file} holds no private key that can be read`,
      { hint: 'move it away; the next start makes another' },
      { cause: error },
    );
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new HostError('invalid-params', `${dirname(file)} holds a key that is not Ed25519`);
  return key;
}
