import { hash, type KeyObject, sign } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { manifestLimits, parseManifest, schemaV3, signingBytes, sourceFields } from '../../protocol/manifest.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { createOwnResolver } from '../author/own-package.ts';
import { explainJson } from '../explain-json.ts';
import { BundleFault, readCapped } from '../read-bundle.ts';
import { buildNative } from './build-native.ts';

type Fields = Record<string, unknown>;
export type PackedPlugin = { id: string; manifest: Buffer; artifact: Buffer };
/** A bundle as its author has it before it is signed. */
export type BuiltPlugin = { id: string; version: string; unsigned: Fields; artifact: Buffer };

const mainFiles = ['plugin.ts', 'plugin.mts', 'plugin.js', 'plugin.mjs'];
const nativeFile = 'plugin';
const elfMagic = Buffer.from('\x7fELF', 'latin1');
export const anySignature = Buffer.alloc(64).toString('base64'); // stands in while everything else is checked

/**
 * Builds the source folder of a plugin: its main file and all it imports become one ES module, a native plugin's executable is taken as it
 * is. `built` names an artifact that was made already. The same input gives the same bytes. Throws HostError `invalid-params` that names
 * the file and the fault.
 */
export async function buildPlugin(folder: string, built?: string): Promise<BuiltPlugin> {
  const file = join(folder, 'plugin.json');
  const source = readSource(file);
  const isNative = source.engine === 'native';
  const given = built ?? (isNative ? join(folder, nativeFile) : undefined);
  if (isNative && built === undefined) await buildNative(folder);
  const artifact = given === undefined ? await bundle(folder) : readBuilt(given, isNative);
  const unsigned = { ...source, digest_sha256: hash('sha256', artifact, 'hex') };
  const parsed = parseManifest(renderManifest({ ...unsigned, signature_ed25519: anySignature }));
  if (!parsed.ok)
    throw new HostError('invalid-params', `${file}: ${parsed.fault.code}: ${parsed.fault.detail}`, {
      rule: parsed.fault.code,
      hint: 'mend plugin.json and pack again',
    });
  return { id: parsed.manifest.id, version: parsed.manifest.version, unsigned, artifact };
}

/** Builds and signs. */
export async function packPlugin(folder: string, key: KeyObject): Promise<PackedPlugin> {
  const { id, unsigned, artifact } = await buildPlugin(folder);
  return { id, manifest: signManifest(unsigned, key), artifact };
}

/** The bytes of manifest.json with the signature that the key makes; one that stood there is replaced. */
export function signManifest({ signature_ed25519: _former, ...unsigned }: Fields, key: KeyObject): Buffer {
  return renderManifest({ ...unsigned, signature_ed25519: sign(null, signingBytes(unsigned), key).toString('base64') });
}

export const renderManifest = (manifest: Fields): Buffer => Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`, 'utf8');

function readSource(file: string): Fields {
  if (!existsSync(file))
    throw new HostError('invalid-params', `${file} does not exist`, { hint: 'a plugin folder holds plugin.json and plugin.ts' });
  const bytes = readFileSync(file);
  const parsed = parseStrict(bytes);
  if (!parsed.ok) {
    const { place, detail } = explainJson(bytes.toString('utf8'), parsed);
    throw new HostError('invalid-params', `${file}${place}: ${detail}`, {
      rule: parsed.rule,
      hint: 'look just before that place, too: a comma or a bracket is often missing there',
    });
  }
  if (typeof parsed.value !== 'object' || parsed.value === null || Array.isArray(parsed.value))
    throw new HostError('invalid-params', `${file} must hold an object`);
  const source = parsed.value as Fields; // just checked
  const added = sourceFields.find((name) => Object.hasOwn(source, name));
  if (added !== undefined)
    throw new HostError('invalid-params', `${file} holds ${added}, which is added when it is packed and signed`, {
      rule: 'field-of-the-bundle',
      hint: `remove ${added} from plugin.json`,
    });
  if (source.schema === schemaV3) return source;
  throw new HostError('invalid-params', `${file}: "schema" must be "${schemaV3}"`, {
    rule: 'unsupported-schema',
    hint: 'sources are packed as v3; bundles of the other forms are made with the public project’s own tools',
  });
}

function readBuilt(file: string, isNative: boolean): Buffer {
  let artifact: Buffer;
  try {
    artifact = readCapped(file, file, manifestLimits.artifactBytes);
  } catch (error) {
    if (!(error instanceof BundleFault)) throw error;
    const hint = isNative ? 'build it first: a native plugin is packed from the executable named plugin, or --artifact' : 'build it first';
    throw new HostError('invalid-params', error.message, { rule: error.code, hint }, { cause: error });
  }
  if (!isNative || artifact.subarray(0, elfMagic.length).equals(elfMagic)) return artifact;
  throw new HostError('invalid-params', `${file} is not a Linux executable (ELF)`, {
    rule: 'not-an-executable',
    hint: 'the engine native runs a compiled program; a script runs on the engine node',
  });
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
      tsconfigRaw: '{}', // what lies in a folder above, or in NODE_PATH, must not change the bytes
      nodePaths: [],
      plugins: [createOwnResolver()],
    });
    return Buffer.from(result.outputFiles[0]?.contents ?? []);
  } catch (error) {
    throw new HostError(
      'invalid-params',
      `the plugin does not build: ${error instanceof Error ? error.message : 'unknown fault'}`,
      { rule: 'does-not-build', hint: 'mend what the compiler says' },
      { cause: error },
    );
  }
}
