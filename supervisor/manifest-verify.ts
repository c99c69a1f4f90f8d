import { hash, verify } from 'node:crypto';
import { highestRisk, risks } from '../protocol/capabilities.ts';
import { type ManifestFault, parseManifest } from '../protocol/manifest.ts';
import type { Manifest } from '../protocol/manifest-form.ts';
import type { Publisher, TrustPolicy } from './trust-policy.ts';

declare const verified: unique symbol;
/** A manifest whose schema, digest, signature and publisher were checked against a trust policy. Only this file makes one. */
export type VerifiedManifest = Manifest & { readonly [verified]: true };
export type Verdict = { ok: true; manifest: VerifiedManifest; bundleSha256: string; text: string } | { ok: false; fault: ManifestFault };

const fail = (code: string, detail: string): Verdict => ({ ok: false, fault: { code, detail } });

/**
 * Checks a bundle: the manifest's bytes, then that it pins the artifact (by the SHA-256 of the bytes that were really read), then who signed
 * it and what the policy lets that publisher do. The manifest's own bytes name the bundle.
 */
export function verifyManifest(bytes: Buffer, artifactSha256: string, policy: TrustPolicy, nowMs: number): Verdict {
  const parsed = parseManifest(bytes);
  if (!parsed.ok) return parsed;
  const { manifest, signed } = parsed;
  if (manifest.digest_sha256 !== artifactSha256) return fail('digest-mismatch', 'the artifact is not the one that the manifest pins');
  const publisher = policy.publishers.get(manifest.publisher);
  if (!publisher) return fail('publisher-not-trusted', `publisher ${manifest.publisher} is not in the trust policy`);
  const refusal = checkSignature(manifest, signed, publisher, policy, nowMs) ?? checkReach(manifest, publisher);
  if (refusal) return { ok: false, fault: refusal };
  const bundleSha256 = hash('sha256', bytes, 'hex');
  if (policy.revokedBundles.has(bundleSha256)) return fail('bundle-revoked', 'the trust policy revokes this bundle');
  return { ok: true, manifest: manifest as VerifiedManifest, bundleSha256, text: bytes.toString('utf8') }; // every check above has passed
}

function checkSignature(
  manifest: Manifest,
  { payload, signature: text }: { payload: Buffer; signature: string },
  publisher: Publisher,
  policy: TrustPolicy,
  nowMs: number,
): ManifestFault | null {
  const signature = Buffer.from(text, 'base64');
  const isCanonical = signature.toString('base64') === text; // spare bits would give one signature several spellings
  const signer = isCanonical ? publisher.keys.find(({ key }) => verify(null, payload, key, signature)) : undefined;
  if (!signer)
    return { code: 'signature-invalid', detail: `no key of publisher ${manifest.publisher} made this signature over this manifest` };
  if (policy.revokedKeys.has(signer.base64))
    return { code: 'key-revoked', detail: `the key of publisher ${manifest.publisher} is revoked` };
  if (signer.notAfterMs !== null && nowMs > signer.notAfterMs)
    return { code: 'key-expired', detail: `the key of publisher ${manifest.publisher} has expired` };
  return null;
}

function checkReach(manifest: Manifest, publisher: Publisher): ManifestFault | null {
  if (publisher.ids !== null && !publisher.ids.some((prefix) => manifest.id.startsWith(prefix))) {
    return { code: 'id-not-allowed', detail: `publisher ${manifest.publisher} may not sign the id ${manifest.id}` };
  }
  const risk = highestRisk(manifest.capabilities);
  if (risks.indexOf(risk) > risks.indexOf(publisher.maxRisk)) {
    return {
      code: 'risk-not-allowed',
      detail: `publisher ${manifest.publisher} may sign capabilities up to risk ${publisher.maxRisk}, not ${risk}`,
    };
  }
  return null;
}
