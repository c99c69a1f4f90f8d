import t from 'tap';
import { findSigners } from '../../../supervisor/market/index-signatures.ts';
import { indexLimits } from '../../../supervisor/market/plugin-index.ts';
import { parseTrustPolicy } from '../../../supervisor/trust-policy.ts';
import { makeIndex, signIndex } from '../../support/make-index.ts';
import { openBundleStore } from '../../support/open-bundle-store.ts';
import { makeKey } from '../../support/signed-bundle.ts';

const [pinned, other] = [makeKey(), makeKey()];
const junk = (at: number) => ({ publisher: 'test.publisher', signature_ed25519: Buffer.alloc(64, at + 1).toString('base64') });
const pins = (() => {
  const index = { keys: [pinned.publicBase64, other.publicBase64], threshold: 1 };
  const { index: found } = parseTrustPolicy(Buffer.from(JSON.stringify({ schema: 'lattice.plugin.trust.v2', publishers: {}, index })));
  return { keys: found?.keys ?? [], threshold: 1 };
})();
const keys = pins.keys.map(({ base64 }) => base64);

/** A well signed index to which somebody added as many signatures as it may have. */
function withJunk(...signers: ReturnType<typeof makeKey>[]): Buffer {
  const signed = JSON.parse(String(signIndex(makeIndex(), ...signers.map(({ privateKey }) => privateKey))));
  const room = indexLimits.signatures - signed.signatures.length;
  return Buffer.from(
    JSON.stringify({ ...signed, signatures: [...Array.from({ length: room }, (_, at) => junk(at)), ...signed.signatures] }),
  );
}

t.test('given a signed index full of added signatures, when a thread examines it, then only those of the keys come back', async (t) => {
  const { bundles } = await openBundleStore(t);

  const examined = await bundles.examineIndex(withJunk(pinned), keys);

  if (!examined.ok) return t.fail('it is an index');
  t.equal(examined.index.signatures.length, 1);
  t.same(findSigners(examined.payload, examined.index.signatures, pins), [pinned.publicBase64], 'and they are good here as well');
});

t.test('given an index that no key signed, or no keys, when a thread examines it, then one signature is left to be refused', async (t) => {
  const { bundles } = await openBundleStore(t);
  for (const [bytes, given] of [
    [withJunk(makeKey()), keys],
    [withJunk(pinned), []],
  ] as const) {
    const examined = await bundles.examineIndex(bytes, given);
    t.equal(examined.ok && examined.index.signatures.length, 1);
  }
  t.match(await bundles.examineIndex(Buffer.from('{'), keys), { ok: false, faults: [{ rule: 'invalid-json' }] });
});
