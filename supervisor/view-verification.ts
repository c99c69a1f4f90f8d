import { type Check, checks, findSigner, verifyManifest } from './manifest-verify.ts';
import type { VerificationView } from './plugin-view.ts';
import type { TrustPolicy } from './trust-policy.ts';

/** Each check as the present policy decides it, and the key that signed; what comes after a failure was not looked at. */
export function viewVerification(manifest: string, artifactSha256: string, policy: TrustPolicy, nowMs: number): VerificationView {
  const bytes = Buffer.from(manifest, 'utf8');
  const verdict = verifyManifest(bytes, artifactSha256, policy, nowMs);
  const signer = findSigner(bytes, policy);
  const failed = verdict.ok ? null : verdict.failed;
  const result = (name: Check) => (verdict.passed.includes(name) ? 'passed' : name === failed ? 'failed' : 'not-checked');
  return {
    trusted: verdict.ok,
    key: signer?.base64 ?? null,
    key_not_after: signer?.notAfterMs ? new Date(signer.notAfterMs).toISOString() : null,
    checks: (Object.keys(checks) as Check[]).map((name) => ({ name, says: checks[name], result: result(name) })), // its own keys are the type
    fault: verdict.ok ? null : verdict.fault,
  };
}
