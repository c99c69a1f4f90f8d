import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Risk } from '../protocol/capabilities.ts';
import { HostError } from '../protocol/errors.ts';
import { parseStrict } from '../protocol/strict-json.ts';
import { parsePublisherKey } from './publisher-key.ts';

export const trustSchemaV2 = 'lattice.plugin.trust.v2';
const key = z
  .string()
  .refine(
    (text) => Buffer.from(text, 'base64').length === 32 && Buffer.from(text, 'base64').toString('base64') === text,
    'a key is 32 bytes in padded base64',
  );
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const simple = z.strictObject({
  trusted_publishers: z.record(z.string(), z.string()),
  allow_unsigned_host_risk: z.boolean().default(false),
});
const extended = z.strictObject({
  schema: z.literal(trustSchemaV2),
  publishers: z.record(
    z.string(),
    z.strictObject({
      keys: z.array(z.strictObject({ key: z.string(), not_after: z.iso.datetime().optional() })).min(1),
      ids: z.array(z.string().min(1)).min(1).optional(), // prefixes; left out: any id
      max_risk: z.enum(['read', 'write', 'host']).default('host'),
    }),
  ),
  revoked_keys: z.array(key).default([]),
  revoked_bundles: z.array(sha256).default([]),
  index: z.strictObject({ keys: z.array(key).min(1), threshold: z.int().min(1) }).optional(),
  allow_unsigned_host_risk: z.boolean().default(false),
});

export type TrustedKey = { key: KeyObject; base64: string; notAfterMs: number | null };
export type Publisher = { keys: TrustedKey[]; ids: string[] | null; maxRisk: Risk };
export type TrustPolicy = {
  publishers: ReadonlyMap<string, Publisher>;
  revokedKeys: ReadonlySet<string>;
  revokedBundles: ReadonlySet<string>;
  allowUnsignedHostRisk: boolean;
};

const refuse = (detail: string): never => {
  throw new HostError('verification-failed', `the trust policy is refused: ${detail}`, {
    rule: 'trust-policy',
    hint: 'mend the file named by LATTICE_PLUGIN_TRUST',
  });
};

/** Reads a trust policy, the simple or the extended form. Every fault refuses the whole: half a policy is not one. */
export function parseTrustPolicy(bytes: Uint8Array): TrustPolicy {
  const parsed = parseStrict(bytes);
  if (!parsed.ok) return refuse(parsed.detail);
  const isExtended = typeof parsed.value === 'object' && parsed.value !== null && Object.hasOwn(parsed.value, 'schema');
  const checked = isExtended ? extended.safeParse(parsed.value) : simple.safeParse(parsed.value);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    return refuse(`/${issue?.path.join('/') ?? ''}: ${issue?.message ?? 'not of either form'}`);
  }
  const policy = checked.data;
  if (!('publishers' in policy)) {
    const publishers = new Map(
      Object.entries(policy.trusted_publishers).map(([name, key]) => [
        name,
        { keys: [trustedKey(name, key, null)], ids: null, maxRisk: 'host' as const },
      ]),
    );
    return { publishers, revokedKeys: new Set(), revokedBundles: new Set(), allowUnsignedHostRisk: policy.allow_unsigned_host_risk };
  }
  const publishers = new Map(
    Object.entries(policy.publishers).map(([name, row]) => [
      name,
      {
        keys: row.keys.map(({ key, not_after }) => trustedKey(name, key, not_after === undefined ? null : Date.parse(not_after))),
        ids: row.ids ?? null,
        maxRisk: row.max_risk,
      },
    ]),
  );
  return {
    publishers,
    revokedKeys: new Set(policy.revoked_keys),
    revokedBundles: new Set(policy.revoked_bundles),
    allowUnsignedHostRisk: policy.allow_unsigned_host_risk,
  };
}

function trustedKey(publisher: string, text: string, notAfterMs: number | null): TrustedKey {
  const parsed = parsePublisherKey(text);
  return parsed.ok
    ? { key: parsed.key, base64: parsed.base64, notAfterMs }
    : refuse(`publisher ${JSON.stringify(publisher.slice(0, 64))}: ${parsed.code}: ${parsed.detail}`);
}
