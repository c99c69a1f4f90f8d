import { createPublicKey, generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { schemaV3, signingBytes } from '../../protocol/manifest.ts';

export const makeKey = (): { privateKey: KeyObject; publicBase64: string } => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, publicBase64: Buffer.from(x ?? '', 'base64url').toString('base64') };
};

export const baseManifest = {
  schema: schemaV3,
  id: 'example.bundle',
  name: 'Bundle',
  version: '1.0.0',
  publisher: 'test.publisher',
  type: 'system',
  engine: 'node',
  capabilities: ['kv:read'],
};

/** The exact bytes of a signed manifest for an artifact. */
export function signManifest(artifact: Buffer, privateKey: KeyObject, more: Record<string, unknown> = {}): Buffer {
  const unsigned = { ...baseManifest, ...more, digest_sha256: hash('sha256', artifact, 'hex') };
  return Buffer.from(JSON.stringify({ ...unsigned, signature_ed25519: sign(null, signingBytes(unsigned), privateKey).toString('base64') }));
}

/** Writes a bundle as it lies on an operator's disk. */
export function writeBundle(pluginDir: string, folder: string, manifest: Buffer, artifact: Buffer): string {
  const home = join(pluginDir, folder);
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'manifest.json'), manifest);
  writeFileSync(join(home, 'artifact'), artifact);
  return home;
}

export const simplePolicy = (publicBase64: string): Buffer =>
  Buffer.from(JSON.stringify({ trusted_publishers: { 'test.publisher': publicBase64 } }));
