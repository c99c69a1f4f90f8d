import { isCapability } from '../../protocol/capabilities.ts';
import type { ManifestCase } from './vectors.ts';

type Evidence = (test: { bytes: Buffer; text: string; policy: string }) => boolean;

const membersOf = (value: unknown): string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([name, inner]) => [...(Array.isArray(value) ? [] : [name]), ...membersOf(inner)]);
const fold = (name: string): string => name.replace('ſ', 's').toLowerCase();
const knownNames = new Set([
  'id',
  'capabilities',
  'schema',
  'signature_ed25519',
  'version',
  'timeout_ms',
  'stdout_bytes',
  'stderr_bytes',
  'host_calls',
]);
const colonsOutsideStrings = (text: string): number => (text.replace(/"(?:[^"\\]|\\.)*"/g, '').match(/:/g) ?? []).length;
const hasKeyTwice = (text: string): boolean => membersOf(JSON.parse(text)).length < colonsOutsideStrings(text);
const field = (text: string, name: string): string => String((JSON.parse(text) as Record<string, unknown>)[name] ?? '');
const keysOf = (policy: string): string[] =>
  Object.values((JSON.parse(policy) as { trusted_publishers: Record<string, string> }).trusted_publishers);

// The eight points whose order divides 8, and their two spellings over p, with the sign bit off: written out, not computed by the code under test.
const smallOrder = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);
const withoutSign = (key: string): string => {
  const bytes = Buffer.from(key, 'base64');
  bytes[31] = (bytes[31] ?? 0) & 0x7f;
  return bytes.toString('hex');
};

/**
 * Where this server refuses what the public one accepts: the rule that our refusal names, and what must be so in the input for the rule to
 * apply. Each rule has its reason in docs/DECISIONS.md. A refusal without a row here, or without its evidence, is a fault.
 */
export const stricterRules: Readonly<Record<string, Evidence>> = {
  'unknown-capability': ({ text }) => (JSON.parse(text) as { capabilities: string[] }).capabilities.some((name) => !isCapability(name)),
  'unknown-field': ({ text }) => membersOf(JSON.parse(text)).some((name) => !knownNames.has(name) && knownNames.has(fold(name))),
  'duplicate-key': ({ text, policy }) => hasKeyTwice(text) || hasKeyTwice(policy),
  'invalid-utf8': ({ bytes, text }) => !Buffer.from(text, 'utf8').equals(bytes),
  'lone-surrogate': ({ text }) => /\\u[dD][89a-fA-F]/.test(text) && !field(text, 'name').isWellFormed(),
  'control-character': ({ text }) => /[\0-\x1f]/.test(field(text, 'entrypoint') + field(text, 'version')),
  'signature-encoding': ({ text }) => {
    const given = field(text, 'signature_ed25519');
    const plain = Buffer.from(given, 'base64').toString('base64');
    return given !== plain && given !== plain.replace(/=+$/, '');
  },
  'low-order-key': ({ policy }) => keysOf(policy).some((key) => smallOrder.has(withoutSign(key))),
  'malformed-key': ({ policy }) => keysOf(policy).some((key) => key !== Buffer.from(key, 'base64').toString('base64')),
  unsigned: ({ text }) => field(text, 'publisher') === '' && field(text, 'signature_ed25519') === '' && field(text, 'schema') === '',
};

export function isAllowedRefusal(rule: string, test: ManifestCase): boolean {
  const bytes = Buffer.from(test.manifest, 'base64');
  return stricterRules[rule]?.({ bytes, text: bytes.toString('utf8'), policy: test.policy }) ?? false;
}
