import { createPublicKey, hash, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { signingBytes } from '../../protocol/manifest.ts';
import type { PackedPlugin } from '../../supervisor/publish/pack-plugin.ts';

export const testPublisher = 'test.local';

export type BundleOrder = {
  key: KeyObject;
  id: string;
  source: string | Buffer;
  capabilities?: readonly string[];
  services?: Readonly<Record<string, readonly string[]>>;
  /** Fields of the manifest that replace or join the usual ones, whether they make sense or not. */
  more?: Readonly<Record<string, unknown>>;
};

/** A bundle signed as a publisher would, also one that a publisher should not: nothing of it is checked here. */
export function signBundle({ key, id, source, capabilities = [], services = {}, more = {} }: BundleOrder): PackedPlugin {
  const artifact = Buffer.from(source);
  const unsigned = {
    schema: 'lattice.plugin.manifest.v3',
    id,
    name: id,
    version: '1.0.0',
    publisher: testPublisher,
    type: 'system',
    engine: 'node',
    capabilities,
    services: Object.entries(services).map(([name, methods]) => ({
      name,
      methods: methods.map((method) => ({ name: method, effect: 'write', scopes: ['plugin:call'], timeout_ms: 60_000 })),
    })),
    digest_sha256: hash('sha256', artifact, 'hex'),
    ...more,
  };
  const signature = sign(null, signingBytes(unsigned), key).toString('base64');
  return { id, artifact, manifest: Buffer.from(JSON.stringify({ ...unsigned, signature_ed25519: signature })) };
}

export const publicKeyOf = (key: KeyObject): string =>
  Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url').toString('base64');

export const trustPolicy = (publishers: Readonly<Record<string, KeyObject>>): string =>
  JSON.stringify({
    trusted_publishers: Object.fromEntries(Object.entries(publishers).map(([name, key]) => [name, publicKeyOf(key)])),
    allow_unsigned_host_risk: false,
  });

/** The text of a plugin kept in test/children. */
export const readChild = (name: string): string => readFileSync(new URL(`../children/${name}`, import.meta.url), 'utf8');
