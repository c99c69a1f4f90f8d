import { hash, type KeyObject, sign } from 'node:crypto';
import { decodePublicManifest } from '../../protocol/public-manifest.ts';

const base = { id: 'acme.tool', name: 'Acme Tool', type: 'system', capabilities: ['kv:read'], version: '1.0.0', publisher: 'acme' };
const interfaces = [{ service: 'acme.tool/items', methods: ['list', 'get'], scopes: ['node:read'] }];
const typed = [
  {
    service: 'acme.tool/items',
    methods: [
      { name: 'list', effect: 'read', scopes: ['node:read'] },
      {
        name: 'save',
        effect: 'write',
        scopes: ['substore:admin'],
        budget: { timeout_ms: 2000, stdout_bytes: 4096, stderr_bytes: 1024, host_calls: 3 },
      },
    ],
    backing: 'runtime',
  },
];

const signed = (manifest: Record<string, unknown>, key: KeyObject): Buffer =>
  Buffer.from(
    JSON.stringify({ ...manifest, signature_ed25519: sign(null, decodePublicManifest(manifest).payload, key).toString('base64') }),
  );

type More = Readonly<Record<string, unknown>>;

/** The exact bytes of a signed v1 manifest for an executable. */
export const signV1 = (artifact: Buffer, key: KeyObject, more: More = {}): Buffer =>
  signed({ ...base, entrypoint: 'plugin', digest_sha256: hash('sha256', artifact, 'hex'), interfaces, ...more }, key);

/** The exact bytes of a signed v2 manifest for an archive. */
export const signV2 = (archive: Buffer, key: KeyObject, more: More = {}): Buffer =>
  signed(
    {
      schema: 'lattice.plugin.manifest.v2',
      ...base,
      bundle: { format: 'tar+gzip', digest_sha256: hash('sha256', archive, 'hex') },
      runtime: { protocol: 'stdio-json-v1', entrypoints: { 'linux/amd64': 'bin/plugin', 'linux/arm64': 'bin/plugin' } },
      compatibility: { server: '>=0.2.1', dashboard_host: '>=1', runtime_protocol: '>=1' },
      interfaces: typed,
      ...more,
    },
    key,
  );

/** A v1 manifest that nobody signed, with or without the digest of its artifact. */
export const unsignedV1 = (artifact: Buffer | null, more: More = {}): Buffer =>
  Buffer.from(
    JSON.stringify({
      ...base,
      publisher: '',
      entrypoint: 'plugin',
      ...(artifact ? { digest_sha256: hash('sha256', artifact, 'hex') } : {}),
      ...more,
    }),
  );

export const acmePolicy = (publicBase64: string, more: More = {}): Buffer =>
  Buffer.from(JSON.stringify({ trusted_publishers: { acme: publicBase64 }, ...more }));
