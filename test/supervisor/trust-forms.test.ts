import t from 'tap';
import { parseTrustPolicy, trustSchemaV2 } from '../../supervisor/trust-policy.ts';
import { makeArchive } from '../support/make-tar.ts';
import { openBundleStore } from '../support/open-bundle-store.ts';
import { acmePolicy, signV1, signV2, unsignedV1 } from '../support/public-bundle.ts';
import { makeKey, writeBundle } from '../support/signed-bundle.ts';

const archive = makeArchive([{ name: 'bin/plugin', body: 'entry' }]);
const executable = Buffer.from('an executable');
const extended = (publisher: object, more: object = {}): Buffer =>
  Buffer.from(JSON.stringify({ schema: trustSchemaV2, publishers: { acme: publisher }, ...more }));

/** A v1 and a v2 bundle, scanned under a policy that the test may replace. */
async function openForms(t: Parameters<typeof openBundleStore>[0]) {
  const policy = { now: (key: string): Buffer => acmePolicy(key) };
  const place = await openBundleStore(t, { policy: (key) => policy.now(key) });
  const { privateKey, publicBase64 } = place.key;
  writeBundle(place.pluginDir, 'one', signV1(executable, privateKey, { id: 'acme.one', interfaces: [] }), executable);
  writeBundle(place.pluginDir, 'two', signV2(archive, privateKey, { id: 'acme.two', interfaces: [] }), archive);
  const { verified } = await place.bundles.scan();
  async function judgeUnder(bytes: Buffer): Promise<(string | null)[]> {
    policy.now = () => bytes;
    await place.bundles.reloadPolicy();
    return ['acme.one', 'acme.two'].map((id) => {
      const bundle = verified.get(id);
      return bundle ? (place.bundles.judge(bundle.text, bundle.manifest.digest_sha256)?.code ?? null) : 'not verified';
    });
  }
  return { place, publicBase64, verified, judgeUnder };
}

t.test('given accepted v1 and v2 bundles, when the policy changes, then each is judged anew by it', async (t) => {
  const { publicBase64: key, verified, judgeUnder } = await openForms(t);
  const keys = [{ key }];
  const shas = [...verified.values()].map(({ bundleSha256 }) => bundleSha256);
  const past = '2020-01-01T00:00:00Z';

  t.same(await judgeUnder(acmePolicy(key)), [null, null]);
  t.same(await judgeUnder(extended({ keys }, { revoked_keys: [key] })), ['key-revoked', 'key-revoked']);
  t.same(await judgeUnder(extended({ keys }, { revoked_bundles: shas })), ['bundle-revoked', 'bundle-revoked']);
  t.same(await judgeUnder(extended({ keys: [{ key, not_after: past }] })), ['key-expired', 'key-expired']);
  t.same(await judgeUnder(extended({ keys, ids: ['acme.o'] })), [null, 'id-not-allowed']);
  t.same(await judgeUnder(acmePolicy(makeKey().publicBase64)), ['signature-invalid', 'signature-invalid']);
  t.same(await judgeUnder(Buffer.from('{}')), ['publisher-not-trusted', 'publisher-not-trusted']);
  t.same(await judgeUnder(extended({ keys: [{ key: makeKey().publicBase64 }, { key }] })), [null, null], 'the new key and the old one');
});

t.test('given a publisher up to risk read, when a public bundle asks for more, then it is refused', async (t) => {
  const { place, publicBase64: key, judgeUnder } = await openForms(t);
  const { privateKey } = place.key;
  writeBundle(
    place.pluginDir,
    'three',
    signV1(executable, privateKey, { id: 'acme.three', interfaces: [], capabilities: ['kv:write'] }),
    executable,
  );
  await judgeUnder(extended({ keys: [{ key }], max_risk: 'read' }));

  const { refused } = await place.bundles.scan();

  t.match(refused, [{ folder: 'three', id: 'acme.three', code: 'risk-not-allowed' }]);
});

t.test('given a loaded bundle whose trust is gone, when it is loaded again, then it is refused with the reason', async (t) => {
  const { place, publicBase64: key, verified, judgeUnder } = await openForms(t);
  const sha = verified.get('acme.two')?.bundleSha256 ?? '';
  await place.bundles.load(sha);

  await judgeUnder(extended({ keys: [{ key }] }, { revoked_keys: [key] }));

  await t.rejects(place.bundles.load(sha), { code: 'verification-failed', details: { rule: 'key-revoked' } });
});

t.test('given no leave for unsigned bundles, when one is scanned, then it is refused under the id that it claims', async (t) => {
  const place = await openBundleStore(t, { allowUnsigned: false });
  writeBundle(place.pluginDir, 'one', unsignedV1(executable), executable);

  t.match((await place.bundles.scan()).refused, [{ id: 'acme.tool', code: 'unsigned' }]);
});

const identity = Buffer.from([1, ...Array(31).fill(0)]).toString('base64');
const [first, second] = [makeKey().publicBase64, makeKey().publicBase64];
for (const [name, index, message] of [
  ['a key of small order', { keys: [identity], threshold: 1 }, /low-order-key/],
  ['a key twice', { keys: [first, first], threshold: 2 }, /stands twice/],
  ['a threshold beyond its keys', { keys: [first, second], threshold: 3 }, /threshold/],
  ['no threshold', { keys: [first] }, /threshold/],
  ['no keys', { keys: [], threshold: 1 }, /keys/],
] as const) {
  t.test(`given a policy whose index has ${name}, when it is read, then it is refused`, async (t) => {
    t.throws(() => parseTrustPolicy(extended({ keys: [{ key: first }] }, { index })), { code: 'verification-failed', message });
  });
}

t.test('given a policy with index keys, when it is read, then they are offered with their threshold', async (t) => {
  const { index } = parseTrustPolicy(extended({ keys: [{ key: first }] }, { index: { keys: [first, second], threshold: 2 } }));
  t.match(index, { keys: [{ base64: first }, { base64: second }], threshold: 2 });
});
