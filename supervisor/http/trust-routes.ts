import { z } from 'zod';
import { capabilities } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
import type { Verdict } from '../manifest-verify.ts';
import type { TrustPolicy } from '../trust-policy.ts';
import { HttpRefusal } from './problem.ts';
import { declareRoute, noBody, nothing, type Route } from './route.ts';

export type TrustDeps = { trust: { verify(manifest: Buffer, artifact: Buffer): Promise<Verdict>; policy(): TrustPolicy } };

export const verifyBodyBytes = 4 * 1024 * 1024;
const officialPublisher = 'latticenet'; // of the public project, which calls all others so

/** Looking at trust without installing anything. */
export function createTrustRoutes({ trust }: TrustDeps): Route[] {
  return [
    declareRoute({
      method: 'POST',
      path: '/api/plugins/verify',
      scope: 'plugin:verify',
      doc: 'Checks a manifest and its artifact by the present trust policy. Nothing is kept.',
      params: nothing,
      query: nothing,
      body: z.strictObject({ manifest: z.record(z.string(), z.unknown()), artifact_base64: z.string() }),
      bodyMostBytes: verifyBodyBytes,
      handle: async ({ body }) => {
        const artifact = decodeArtifact(body.artifact_base64);
        const verdict = await trust.verify(Buffer.from(JSON.stringify(body.manifest)), artifact);
        return verdict.ok ? describeVerified(body.manifest, verdict) : refuse(verdict);
      },
    }),
    declareRoute({
      method: 'GET',
      path: '/api/plugin-trust',
      scope: 'audit:read',
      doc: 'Tells the trust policy in force: who may sign which plugins, until when, and what is revoked.',
      params: nothing,
      query: nothing,
      body: noBody,
      tagged: true,
      handle: () => describePolicy(trust.policy()),
    }),
  ];
}

function decodeArtifact(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') === text) return bytes;
  throw new HostError('invalid-params', 'body /artifact_base64: is not padded base64', {
    pointer: '/artifact_base64',
    hint: 'encode the bytes of the artifact with standard base64, on one line',
  });
}

function describeVerified(given: Record<string, unknown>, { manifest, passed }: Verdict & { ok: true }) {
  const { signature_ed25519: _signature, ...unsigned } = given;
  return {
    trusted: true,
    unsigned: manifest.unsigned,
    manifest: unsigned,
    artifact_sha256: manifest.digest_sha256,
    capabilities: [...manifest.capabilities].sort().map((name) => ({ name, risk: capabilities[name].risk })),
    checks: passed,
  };
}

/** As the public server: 400, with the verifier's reason. */
function refuse({ fault, failed, passed }: Verdict & { ok: false }): never {
  throw new HttpRefusal('verification-failed', `${fault.code}: ${fault.detail}`, {
    status: 400,
    publicCode: 'bad_request',
    details: { rule: fault.code, failed, checks: passed, hint: 'the rule says what to mend in the bundle or the trust policy' },
  });
}

const asTime = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export function describePolicy(policy: TrustPolicy) {
  const names = [...policy.publishers.keys()].sort();
  return {
    publishers: names,
    non_official: names.filter((name) => name !== officialPublisher),
    allow_unsigned_host_risk: policy.allowUnsignedHostRisk,
    allow_unsigned: policy.allowUnsigned,
    rules: [...policy.publishers]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([publisher, { keys, ids, maxRisk }]) => ({
        publisher,
        keys: keys.map(({ base64, notAfterMs }) => ({
          key: base64,
          not_after: asTime(notAfterMs),
          revoked: policy.revokedKeys.has(base64),
        })),
        ids,
        max_risk: maxRisk,
      })),
    revoked_keys: [...policy.revokedKeys].sort(),
    revoked_bundles: [...policy.revokedBundles].sort(),
    index: policy.index && { keys: policy.index.keys.map(({ base64 }) => base64), threshold: policy.index.threshold },
  };
}
