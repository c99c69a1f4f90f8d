import { hash, verify } from 'node:crypto';
import { highestRisk, risks } from '../protocol/capabilities.ts';
import { type ManifestFault, parseManifest } from '../protocol/manifest.ts';
import type { Manifest } from '../protocol/manifest-form.ts';
import type { Publisher, TrustedKey, TrustPolicy } from './trust-policy.ts';

declare const verified: unique symbol;
/** A manifest whose schema, digest, signature and publisher were checked against a trust policy. Only this file makes one. */
export type VerifiedManifest = Manifest & { readonly [verified]: true };
export type Verdict =
  | { ok: true; manifest: VerifiedManifest; bundleSha256: string; text: string; passed: readonly Check[] }
  | { ok: false; fault: ManifestFault; failed: Check; passed: readonly Check[] };

/** The checks a bundle goes through, in this order; the first that fails ends it. */
export const checks = {
  manifest: 'the manifest is well formed and asks for known capabilities only',
  artifact: 'the artifact is the one that the manifest pins',
  publisher: 'the trust policy names the publisher, or allows the bundle to have none',
  signature: 'a valid key of the publisher signed this manifest',
  reach: 'the publisher may sign this id and these capabilities',
  revocation: 'the trust policy does not revoke the bundle',
} as const satisfies Record<string, string>;
export type Check = keyof typeof checks;

const fault = (code: string, detail: string): ManifestFault => ({ code, detail });

/**
 * Checks a bundle: the manifest's bytes, then that it pins the artifact (by the SHA-256 of the bytes that were really read), then who signed
 * it and what the policy lets that publisher do. The manifest's own bytes name the bundle.
 */
export function verifyManifest(bytes: Buffer, artifactSha256: string, policy: TrustPolicy, nowMs: number): Verdict {
  const passed: Check[] = [];
  const parsed = parseManifest(bytes);
  if (!parsed.ok) return { ok: false, fault: parsed.fault, failed: 'manifest', passed };
  passed.push('manifest');
  const { manifest, signed } = parsed;
  const bundleSha256 = nameBundle(bytes, manifest, artifactSha256);
  const publisher = policy.publishers.get(manifest.publisher) ?? null;
  const steps: Record<Exclude<Check, 'manifest'>, () => ManifestFault | null> = {
    artifact: () => checkArtifact(manifest, artifactSha256),
    publisher: () => (manifest.unsigned ? checkUnsigned(manifest, policy) : checkPublisher(manifest, publisher)),
    signature: () => (publisher === null ? null : checkSignature(manifest, signed, publisher, policy, nowMs)), // none: unsigned was allowed
    reach: () => (publisher === null ? null : checkReach(manifest, publisher)),
    revocation: () => (policy.revokedBundles.has(bundleSha256) ? fault('bundle-revoked', 'the trust policy revokes this bundle') : null),
  };
  for (const [name, step] of Object.entries(steps) as [Check, () => ManifestFault | null][]) {
    const found = step();
    if (found) return { ok: false, fault: found, failed: name, passed };
    passed.push(name);
  }
  const pinned = { ...manifest, digest_sha256: artifactSha256 } as VerifiedManifest; // every check above has passed
  return { ok: true, manifest: pinned, bundleSha256, text: bytes.toString('utf8'), passed };
}

/**
 * The SHA-256 of the manifest's bytes, which pin the artifact. An unsigned v1 manifest may pin none: then the artifact's digest is part of the
 * name, so that what was accepted stays what runs.
 */
export const nameBundle = (bytes: Buffer, manifest: Manifest, artifactSha256: string): string =>
  hash('sha256', manifest.digest_sha256 === '' ? Buffer.concat([bytes, Buffer.from(`\n${artifactSha256}`)]) : bytes, 'hex');

function checkArtifact(manifest: Manifest, artifactSha256: string): ManifestFault | null {
  if (manifest.digest_sha256 === '')
    return manifest.unsigned ? null : fault('digest-missing', 'a signed manifest pins its artifact with digest_sha256');
  return manifest.digest_sha256 === artifactSha256 ? null : fault('digest-mismatch', 'the artifact is not the one that the manifest pins');
}

function checkUnsigned(manifest: Manifest, policy: TrustPolicy): ManifestFault | null {
  if (!policy.allowUnsigned) return fault('unsigned', 'the bundle is not signed; LATTICE_ALLOW_UNSIGNED=1 lets such a v1 bundle in');
  if (highestRisk(manifest.capabilities) !== 'host' || policy.allowUnsignedHostRisk) return null;
  return fault(
    'unsigned-host-risk',
    'an unsigned bundle with host capabilities needs "allow_unsigned_host_risk": true in the trust policy',
  );
}

function checkPublisher(manifest: Manifest, publisher: Publisher | null): ManifestFault | null {
  if (manifest.publisher === '') return fault('publisher-missing', 'a signed manifest names its publisher');
  return publisher ? null : fault('publisher-not-trusted', `publisher ${manifest.publisher} is not in the trust policy`);
}

/** Base64 with or without padding in the public forms, as there; spare bits and line breaks would give one signature many spellings. */
function decodeSignature(text: string, form: Manifest['form']): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  const padded = bytes.toString('base64');
  const spellings = form === 'v3' ? [padded] : [padded, padded.replace(/=+$/, '')];
  return bytes.length === 64 && spellings.includes(text) ? bytes : null;
}

function checkSignature(
  manifest: Manifest,
  { payload, signature: text }: { payload: Buffer; signature: string },
  publisher: Publisher,
  policy: TrustPolicy,
  nowMs: number,
): ManifestFault | null {
  if (text === '') return fault('signature-missing', 'the manifest names a publisher, but is not signed');
  const signature = decodeSignature(text, manifest.form);
  if (signature === null) return fault('signature-encoding', 'a signature is 64 bytes in plain base64');
  const signer = findKey(publisher, payload, signature);
  if (!signer) return fault('signature-invalid', `no key of publisher ${manifest.publisher} made this signature over this manifest`);
  if (policy.revokedKeys.has(signer.base64)) return fault('key-revoked', `the key of publisher ${manifest.publisher} is revoked`);
  if (signer.notAfterMs !== null && nowMs > signer.notAfterMs)
    return fault('key-expired', `the key of publisher ${manifest.publisher} has expired`);
  return null;
}

const findKey = (publisher: Publisher, payload: Buffer, signature: Buffer): TrustedKey | null =>
  publisher.keys.find(({ key }) => verify(null, payload, key, signature)) ?? null;

/** The key that made the signature of a manifest, for those who want to compare it with what its publisher told them; null when none did. */
export function findSigner(bytes: Buffer, policy: TrustPolicy): TrustedKey | null {
  const parsed = parseManifest(bytes);
  const publisher = parsed.ok ? policy.publishers.get(parsed.manifest.publisher) : undefined;
  if (!parsed.ok || !publisher) return null;
  const signature = decodeSignature(parsed.signed.signature, parsed.manifest.form);
  return signature && findKey(publisher, parsed.signed.payload, signature);
}

function checkReach(manifest: Manifest, publisher: Publisher): ManifestFault | null {
  if (publisher.ids !== null && !publisher.ids.some((prefix) => manifest.id.startsWith(prefix)))
    return fault('id-not-allowed', `publisher ${manifest.publisher} may not sign the id ${manifest.id}`);
  const risk = highestRisk(manifest.capabilities);
  if (risks.indexOf(risk) <= risks.indexOf(publisher.maxRisk)) return null;
  return fault('risk-not-allowed', `publisher ${manifest.publisher} may sign capabilities up to risk ${publisher.maxRisk}, not ${risk}`);
}
