import type { KeyObject } from 'node:crypto';
import { indexPayload, signIndexPayload } from '../../supervisor/market/index-signatures.ts';
import { makeKey } from './signed-bundle.ts';

type Fields = Record<string, unknown>;

const anySignature = Buffer.alloc(64, 9).toString('base64');
export const advertised = makeKey();

export const makeRelease = (more: Fields = {}): Fields => ({
  version: '1.0.0',
  channel: 'stable',
  manifest_url: 'https://plugins.example.test/bundle/manifest.json',
  artifact_url: 'https://plugins.example.test/bundle/artifact',
  artifact_sha256: 'a'.repeat(64),
  signature_ed25519: anySignature,
  ...more,
});

export const makeListing = (more: Fields = {}, releases: Fields[] = [makeRelease()]): Fields => ({
  id: 'example.bundle',
  name: 'Bundle',
  publisher: 'test.publisher',
  type: 'system',
  summary: 'For tests.',
  channels: { stable: '1.0.0' },
  capabilities: ['kv:read'],
  releases,
  ...more,
});

/** An index of one plugin, of a time shortly before the one that tests take for now. */
export const makeIndex = (more: Fields = {}): Fields => ({
  schema: 'lattice.plugin.index.v1',
  generated_at: '2026-06-15T00:00:00Z',
  status: 'official',
  publishers: [{ id: 'test.publisher', name: 'Test', public_key_ed25519: advertised.publicBase64 }],
  plugins: [makeListing()],
  ...more,
});

export const indexNowMs = Date.parse('2026-06-16T00:00:00Z');

/** The bytes of the index with a signature of each key. */
export function signIndex(index: Fields, ...keys: KeyObject[]): Buffer {
  const payload = indexPayload(index);
  const signatures = keys.map((key) => ({ publisher: 'test.publisher', signature_ed25519: signIndexPayload(payload, key) }));
  return Buffer.from(JSON.stringify({ ...index, signatures }));
}
