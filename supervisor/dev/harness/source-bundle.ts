import { generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { HostError } from '../../../protocol/errors.ts';
import { schemaV3, signingBytes } from '../../../protocol/manifest.ts';
import { parseJson } from '../../../protocol/parse-json.ts';
import { schemaV2 } from '../../../protocol/public-manifest.ts';
import { parseStrict } from '../../../protocol/strict-json.ts';
import type { LoadedBundle } from '../../loaded-bundle.ts';
import { verifyManifest } from '../../manifest-verify.ts';
import { packPlugin } from '../../publish/pack-plugin.ts';
import { publicKeyText } from '../../publish/private-key.ts';
import { parseTrustPolicy } from '../../trust-policy.ts';

export type PluginSource = {
  /** The folder as it was asked for, absolute. */
  folder: string;
  /** `sources` are built at every load; a `bundle` is packed already. */
  form: 'sources' | 'bundle';
  /** What one start needs, checked as the service checks it. */
  load(): Promise<LoadedBundle>;
};

/** Finds out what a folder holds: the sources of a plugin (`plugin.json`), or a packed bundle (`manifest.json` and `artifact`). */
export function openSource(path: string): PluginSource {
  const folder = resolve(path);
  const key = generateKeyPairSync('ed25519').privateKey; // for this run alone: an author needs no key to try a plugin
  if (existsSync(join(folder, 'plugin.json')))
    return {
      folder,
      form: 'sources',
      async load() {
        const { manifest, artifact } = await packPlugin(folder, key);
        return verifyOwn(manifest, artifact, key);
      },
    };
  if (existsSync(join(folder, 'manifest.json'))) return { folder, form: 'bundle', load: async () => loadBundle(folder, key) };
  throw new HostError('not-found', `${basename(folder)} holds neither plugin.json nor manifest.json`, {
    hint: 'name the folder of a plugin’s sources, or of a packed bundle; `lattice new` makes one',
  });
}

/** Signs a bundle anew: whose it is says nothing about what it does here, but what it pins must be what it brings. */
function loadBundle(folder: string, key: KeyObject): LoadedBundle {
  const parsed = parseStrict(readFileSync(join(folder, 'manifest.json')));
  const raw = parsed.ok && typeof parsed.value === 'object' && parsed.value !== null ? (parsed.value as Record<string, unknown>) : null;
  if (raw && (!raw.schema || raw.schema === schemaV2))
    throw new HostError(
      'verification-failed',
      `manifest.json is of the form ${raw.schema ? 'v2' : 'v1'} of the public server: its plugins run in the service only`,
      {
        rule: 'public-form',
        hint: `try it there: put the folder into LATTICE_PLUGIN_DIR of a lattice serve whose trust policy names its publisher, then lattice plugins install, activate and call (docs/STDIO-JSON-V1.md). The harness runs plugins of the form ${schemaV3}`,
      },
    );
  if (raw?.schema !== schemaV3)
    throw new HostError('verification-failed', `manifest.json: ${parsed.ok ? `"schema" is not "${schemaV3}"` : parsed.detail}`, {
      rule: parsed.ok ? 'unsupported-schema' : parsed.rule,
      hint: 'the harness runs bundles of the native form; pack the plugin’s sources again',
    });
  const signature = sign(null, signingBytes(raw), key).toString('base64');
  const artifact = readFileSync(join(folder, 'artifact'));
  return verifyOwn(Buffer.from(JSON.stringify({ ...raw, signature_ed25519: signature })), artifact, key);
}

function verifyOwn(manifest: Buffer, artifact: Buffer, key: KeyObject): LoadedBundle {
  const { publisher } = parseJson(manifest.toString('utf8')) as { publisher: unknown }; // an object: both callers have parsed it
  const policy = parseTrustPolicy(Buffer.from(JSON.stringify({ trusted_publishers: { [String(publisher)]: publicKeyText(key) } })));
  const artifactSha256 = hash('sha256', artifact, 'hex');
  const verdict = verifyManifest(manifest, artifactSha256, policy, 0);
  if (!verdict.ok)
    throw new HostError('verification-failed', `${verdict.fault.code}: ${verdict.fault.detail}`, {
      rule: verdict.fault.code,
      hint: 'mend the manifest, or pack the plugin again',
    });
  return {
    manifest: verdict.manifest,
    bundleSha256: verdict.bundleSha256,
    artifact,
    artifactSha256,
    entry: { path: 'artifact', sha256: artifactSha256 },
    root: null,
    files: [],
  };
}
