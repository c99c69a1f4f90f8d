import { type KeyObject, sign, verify } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { TrustedKey, TrustPolicy } from '../trust-policy.ts';
import type { IndexSignature } from './plugin-index.ts';

const prefix = 'LATTICE-PLUGIN-INDEX-V1\n';

/** The keys that the operator pinned for indexes, and how many different ones must have signed. */
export type IndexPins = { keys: readonly TrustedKey[]; threshold: number };

/** A revoked key counts no more: when too few are left, no index gets through. Null where the operator pinned none. */
export const pinsOf = ({ index, revokedKeys }: TrustPolicy): IndexPins | null =>
  index === null ? null : { keys: index.keys.filter(({ base64 }) => !revokedKeys.has(base64)), threshold: index.threshold };

/** The exact bytes that a signature of an index covers: the prefix line, then the RFC 8785 form of the index without its signatures. */
export function indexPayload({ signatures: _signatures, ...signed }: Record<string, unknown>): Buffer {
  const canonical = canonicalize(signed);
  if (canonical === undefined) throw new Error('an index has no canonical form');
  return Buffer.from(prefix + canonical, 'utf8');
}

export const signIndexPayload = (payload: Buffer, key: KeyObject): string => sign(null, payload, key).toString('base64');

/**
 * The pinned keys that signed. What a signature says of its publisher, and the keys that an index advertises, play no part: a key counts
 * because the operator pinned it, and once.
 */
export const findSigners = (payload: Uint8Array, signatures: readonly IndexSignature[], pins: IndexPins): string[] => [
  ...new Set(
    pins.keys.filter(({ key }) => signatures.some(({ signature }) => verify(null, payload, key, signature))).map(({ base64 }) => base64),
  ),
];
