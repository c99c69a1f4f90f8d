import { createPublicKey, type KeyObject } from 'node:crypto';

const p = 2n ** 255n - 19n;
const d = 37095705934669439343138083508754565189542113879843219016388785533085940283555n; // of edwards25519, RFC 8032 §5.1

const y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022n; // of a point of order 8, as in libsodium's ed25519_ref10

/**
 * The y coordinates, mod p, of points whose order divides 8. A signature under such a key verifies for messages nobody signed: OpenSSL 3.0
 * accepts it, OpenSSL 3.5 refuses it, and which one Node brings is not ours to choose.
 */
const lowOrderY = new Set([0n, 1n, p - 1n, y8, p - y8]);

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base % p;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % p;
    square = (square * square) % p;
  }
  return result;
}

/** Whether an x exists with -x² + y² = 1 + d·x²·y². */
function isOnCurve(y: bigint): boolean {
  const u = (y * y - 1n + p) % p;
  const v = (d * y * y + 1n) % p;
  const euler = power(u * v, (p - 1n) / 2n);
  return euler <= 1n;
}

export type PublisherKey =
  | { ok: true; key: KeyObject; base64: string }
  | { ok: false; code: 'malformed-key' | 'low-order-key'; detail: string };

/** Reads a base64 Ed25519 public key and refuses those that must not be trusted with anything. */
export function parsePublisherKey(text: string): PublisherKey {
  const bytes = Buffer.from(text, 'base64');
  const base64 = bytes.toString('base64');
  if (bytes.length !== 32 || ![base64, base64.replace(/=+$/, '')].includes(text))
    return { ok: false, code: 'malformed-key', detail: 'a key is 32 bytes in base64' };
  const little = Buffer.from(bytes).reverse();
  little[0] = (little[0] ?? 0) & 0x7f; // the sign of x
  const y = BigInt(`0x${little.toString('hex')}`);
  if (lowOrderY.has(y % p)) return { ok: false, code: 'low-order-key', detail: 'the key is a point of small order' };
  if (y >= p || !isOnCurve(y)) return { ok: false, code: 'malformed-key', detail: 'the key is not a point of the curve' };
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' });
  return { ok: true, key, base64 };
}
