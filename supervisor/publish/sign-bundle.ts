import { hash, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { parseManifest } from '../../protocol/manifest.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { openBundle } from './open-bundle.ts';
import { anySignature, renderManifest } from './pack-plugin.ts';
import { replaceWhole } from './place-bundle.ts';

type Signed = { id: string; version: string; publisher: string; manifest: Buffer };

/** Signs the bundle in a folder, of any form, whose manifest must already name exactly the artifact beside it. */
export function signBundleFolder(folder: string, key: KeyObject): Signed {
  const { home, manifest: bytes, artifact } = openBundle(folder);
  const read = parseStrict(bytes);
  if (!read.ok || typeof read.value !== 'object' || read.value === null || Array.isArray(read.value))
    throw refuse(home, read.ok ? 'invalid-manifest' : read.rule, read.ok ? 'a manifest is an object' : read.detail);
  const fields = { ...read.value, signature_ed25519: anySignature };
  const parsed = parseManifest(renderManifest(fields));
  if (!parsed.ok) throw refuse(home, parsed.fault.code, parsed.fault.detail);
  const { id, version, publisher, digest_sha256: pinned } = parsed.manifest;
  if (pinned !== hash('sha256', artifact, 'hex'))
    throw refuse(home, 'digest-mismatch', 'the artifact is not the one that the manifest pins');
  const signature = sign(null, parsed.signed.payload, key).toString('base64'); // the payload of its form, without the signature
  const manifest = renderManifest({ ...fields, signature_ed25519: signature });
  replaceWhole(join(home, 'manifest.json'), manifest);
  return { id, version, publisher, manifest };
}

const refuse = (home: string, rule: string, detail: string): HostError =>
  new HostError('verification-failed', `${home} is not signed: ${rule}: ${detail}`, { rule, hint: 'pack it again with lattice pack' });
