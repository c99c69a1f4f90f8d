import { hash, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { parseManifest } from '../../protocol/manifest.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { openBundle } from './open-bundle.ts';
import { signManifest } from './pack-plugin.ts';
import { replaceWhole } from './place-bundle.ts';

type Signed = { id: string; version: string; publisher: string; manifest: Buffer };

/** Signs the bundle in a folder, whose manifest must already name exactly the artifact beside it. */
export function signBundleFolder(folder: string, key: KeyObject): Signed {
  const { home, manifest: bytes, artifact } = openBundle(folder);
  const read = parseStrict(bytes);
  if (!read.ok || typeof read.value !== 'object' || read.value === null)
    throw refuse(home, read.ok ? 'invalid-manifest' : read.rule, read.ok ? 'a manifest is an object' : read.detail);
  const manifest = signManifest(read.value as Record<string, unknown>, key); // an object, just checked; parsed as a manifest next
  const parsed = parseManifest(manifest);
  if (!parsed.ok) throw refuse(home, parsed.fault.code, parsed.fault.detail);
  if (parsed.manifest.digest_sha256 !== hash('sha256', artifact, 'hex'))
    throw refuse(home, 'digest-mismatch', 'the artifact is not the one that the manifest pins');
  replaceWhole(join(home, 'manifest.json'), manifest);
  const { id, version, publisher } = parsed.manifest;
  return { id, version, publisher, manifest };
}

const refuse = (home: string, rule: string, detail: string): HostError =>
  new HostError('verification-failed', `${home} is not signed: ${rule}: ${detail}`, { rule, hint: 'pack it again with lattice pack' });
