import type { ManifestFault } from '../protocol/manifest.ts';
import type { TrustPolicy } from './trust-policy.ts';

/** Whether the policy lets a publisher sign this id at all; null when it does. What it signs is judged bundle by bundle. */
export function judgePublisher(policy: TrustPolicy, publisher: string, id: string, nowMs: number): ManifestFault | null {
  const known = policy.publishers.get(publisher);
  if (!known) return { code: 'publisher-not-trusted', detail: `publisher ${publisher} is not in the trust policy` };
  if (known.ids !== null && !known.ids.some((prefix) => id.startsWith(prefix)))
    return { code: 'id-not-allowed', detail: `publisher ${publisher} may not sign the id ${id}` };
  const usable = known.keys.some(
    ({ base64, notAfterMs }) => !policy.revokedKeys.has(base64) && (notAfterMs === null || nowMs <= notAfterMs),
  );
  return usable ? null : { code: 'no-usable-key', detail: `every key of publisher ${publisher} is revoked or has expired` };
}
