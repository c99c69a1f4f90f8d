import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Risk } from '../protocol/capabilities.ts';
import { HostError } from '../protocol/errors.ts';
import { plainly, tellFirst } from '../protocol/plain-words.ts';
import { isPublicId } from '../protocol/public-rules.ts';
import { parseStrict } from '../protocol/strict-json.ts';
import { parsePublisherKey } from './publisher-key.ts';

export const trustSchemaV2 = 'lattice.plugin.trust.v2';
const policyMostBytes = 1024 * 1024;
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits');

/** The public server's form. There a member that is null counts as left out. */
const simple = z.strictObject({
  trusted_publishers: z
    .record(z.string().refine(isPublicId, 'a publisher is written like a plugin id'), z.string())
    .nullish()
    .transform((given) => given ?? {}),
  allow_unsigned_host_risk: z
    .boolean()
    .nullish()
    .transform((given) => given ?? false),
});
const extended = z.strictObject({
  schema: z.literal(trustSchemaV2),
  publishers: z.record(
    z.string().regex(/^[a-z0-9][a-z0-9._-]{0,126}[a-z0-9]$/, 'a publisher is 2 to 128 of a-z 0-9 . _ -'),
    z.strictObject({
      keys: z.array(z.strictObject({ key: z.string(), not_after: z.iso.datetime().optional() })).min(1),
      ids: z.array(z.string().min(1)).min(1).optional(), // prefixes; left out: any id
      max_risk: z.enum(['read', 'write', 'host']).default('host'),
    }),
  ),
  revoked_keys: z.array(z.string()).default([]),
  revoked_bundles: z.array(sha256).default([]),
  index: z.strictObject({ keys: z.array(z.string()).min(1).max(32), threshold: z.int().min(1) }).optional(),
  allow_unsigned_host_risk: z.boolean().default(false),
});

export type TrustedKey = { key: KeyObject; base64: string; notAfterMs: number | null };
export type Publisher = { keys: readonly TrustedKey[]; ids: readonly string[] | null; maxRisk: Risk };
export type TrustPolicy = {
  publishers: ReadonlyMap<string, Publisher>;
  revokedKeys: ReadonlySet<string>;
  revokedBundles: ReadonlySet<string>;
  index: { keys: readonly TrustedKey[]; threshold: number } | null;
  allowUnsigned: boolean; // of the configuration, LATTICE_ALLOW_UNSIGNED; the file cannot say it
  allowUnsignedHostRisk: boolean;
  isExtended: boolean;
};

const refuse = (detail: string): never => {
  throw new HostError('verification-failed', `the trust policy is refused: ${detail}`, {
    rule: 'trust-policy',
    hint: 'mend the file named by LATTICE_PLUGIN_TRUST',
  });
};

/** Reads a trust policy, the simple or the extended form. Every fault refuses the whole: half a policy is not one. */
export function parseTrustPolicy(bytes: Uint8Array, { allowUnsigned = false } = {}): TrustPolicy {
  if (bytes.length > policyMostBytes) return refuse(`it is over ${policyMostBytes} bytes`);
  const parsed = parseStrict(bytes);
  if (!parsed.ok) return refuse(parsed.detail);
  const isExtended = typeof parsed.value === 'object' && parsed.value !== null && Object.hasOwn(parsed.value, 'schema');
  const checked = isExtended ? extended.safeParse(parsed.value, plainly) : simple.safeParse(parsed.value, plainly);
  if (!checked.success) {
    const { pointer, message } = tellFirst(checked.error.issues);
    return refuse(`${pointer}: ${message}`);
  }
  const policy = checked.data;
  return 'publishers' in policy ? fromExtended(policy, allowUnsigned) : fromSimple(policy, allowUnsigned);
}

function fromSimple(policy: z.output<typeof simple>, allowUnsigned: boolean): TrustPolicy {
  const publishers = Object.entries(policy.trusted_publishers).map(
    ([name, key]) => [name, { keys: [trustedKey(publisherName(name), key, null)], ids: null, maxRisk: 'host' }] as const,
  );
  return {
    publishers: new Map(publishers),
    revokedKeys: new Set(),
    revokedBundles: new Set(),
    index: null,
    allowUnsigned,
    allowUnsignedHostRisk: policy.allow_unsigned_host_risk,
    isExtended: false,
  };
}

function fromExtended(policy: z.output<typeof extended>, allowUnsigned: boolean): TrustPolicy {
  const publishers = Object.entries(policy.publishers).map(([name, row]) => {
    const keys = row.keys.map(({ key, not_after }) =>
      trustedKey(publisherName(name), key, not_after === undefined ? null : Date.parse(not_after)),
    );
    return [name, { keys, ids: row.ids ?? null, maxRisk: row.max_risk }] as const;
  });
  return {
    publishers: new Map(publishers),
    revokedKeys: new Set(policy.revoked_keys.map(revokedKey)),
    revokedBundles: new Set(policy.revoked_bundles),
    index: policy.index === undefined ? null : indexKeys(policy.index),
    allowUnsigned,
    allowUnsignedHostRisk: policy.allow_unsigned_host_risk,
    isExtended: true,
  };
}

const publisherName = (name: string): string => `publisher ${JSON.stringify(name.slice(0, 64))}`;

/** The same key twice would count twice towards the threshold; more keys than there are could never be reached. */
function indexKeys({ keys, threshold }: { keys: readonly string[]; threshold: number }): TrustPolicy['index'] {
  const trusted = keys.map((key) => trustedKey('index', key, null));
  if (new Set(trusted.map(({ base64 }) => base64)).size !== trusted.length) return refuse('/index/keys: a key stands twice');
  if (threshold > trusted.length) return refuse(`/index/threshold: is over the ${trusted.length} keys there are`);
  return { keys: trusted, threshold };
}

/** A key is revoked by its bytes; that it is no good key is no reason to keep it from being revoked. */
function revokedKey(text: string): string {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 && bytes.toString('base64') === text
    ? text
    : refuse('/revoked_keys: malformed-key: a key is 32 bytes in padded base64');
}

function trustedKey(owner: string, text: string, notAfterMs: number | null): TrustedKey {
  const parsed = parsePublisherKey(text);
  return parsed.ok ? { key: parsed.key, base64: parsed.base64, notAfterMs } : refuse(`${owner}: ${parsed.code}: ${parsed.detail}`);
}
