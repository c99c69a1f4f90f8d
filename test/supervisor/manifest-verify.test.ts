import { hash } from 'node:crypto';
import t from 'tap';
import { verifyManifest } from '../../supervisor/manifest-verify.ts';
import { parseTrustPolicy, trustSchemaV2 } from '../../supervisor/trust-policy.ts';
import { makeKey, signManifest, simplePolicy } from '../support/signed-bundle.ts';

const artifact = Buffer.from('export default {};');
const digest = hash('sha256', artifact, 'hex');
const key = makeKey();
const other = makeKey();
const policy = parseTrustPolicy(simplePolicy(key.publicBase64));
const now = Date.UTC(2026, 0, 1);
const judge = (bytes: Buffer, trust = policy, sha = digest) => verifyManifest(bytes, sha, trust, now);
const extended = (publisher: object, more: object = {}) =>
  parseTrustPolicy(
    Buffer.from(
      JSON.stringify({
        schema: trustSchemaV2,
        publishers: { 'test.publisher': { keys: [{ key: key.publicBase64 }], ...publisher } },
        ...more,
      }),
    ),
  );

t.test('given a signed manifest, when it is judged, then it is verified and named by its exact bytes', async (t) => {
  const bytes = signManifest(artifact, key.privateKey);
  const verdict = judge(bytes);
  t.match(verdict, { ok: true, bundleSha256: hash('sha256', bytes, 'hex'), manifest: { id: 'example.bundle' } });
});

t.test(
  'given the same manifest in another order and spacing, when it is judged, then the signature still holds, and it is another bundle',
  async (t) => {
    const bytes = signManifest(artifact, key.privateKey);
    const entries = Object.entries(JSON.parse(bytes.toString())).reverse();
    const again = Buffer.from(JSON.stringify(Object.fromEntries(entries), null, 3));
    const verdict = judge(again);
    t.equal(verdict.ok, true);
    t.not(verdict.ok && verdict.bundleSha256, hash('sha256', bytes, 'hex'));
  },
);

t.test('given any byte of a signed manifest flipped, when it is judged, then it is refused', async (t) => {
  const bytes = signManifest(artifact, key.privateKey);
  const passed: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of [1, 32, 128]) {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ bit;
      if (judge(copy).ok) passed.push(at);
    }
  }
  t.same(passed, []);
});

const refusals: [name: string, bytes: Buffer, code: string][] = [
  ['signed by another key', signManifest(artifact, other.privateKey), 'signature-invalid'],
  ['of a publisher who is not trusted', signManifest(artifact, key.privateKey, { publisher: 'somebody.else' }), 'publisher-not-trusted'],
  [
    'of a publisher named like an object’s own',
    signManifest(artifact, key.privateKey, { publisher: 'constructor' }),
    'publisher-not-trusted',
  ],
  ['with an unknown capability', signManifest(artifact, key.privateKey, { capabilities: ['kv:read', 'root:shell'] }), 'unknown-capability'],
  ['with an unknown field', signManifest(artifact, key.privateKey, { entrypoint: 'x' }), 'invalid-manifest'],
  ['with another schema', signManifest(artifact, key.privateKey, { schema: 'lattice.plugin.manifest.v9' }), 'unsupported-schema'],
  ['with a reserved id', signManifest(artifact, key.privateKey, { id: 'lifecycle' }), 'invalid-manifest'],
  ['with an id without a dot', signManifest(artifact, key.privateKey, { id: 'hello' }), 'invalid-manifest'],
  ['with an id in capitals', signManifest(artifact, key.privateKey, { id: 'Example.hello' }), 'invalid-manifest'],
  ['with a look-alike letter in its id', signManifest(artifact, key.privateKey, { id: 'ex\u0430mple.hello' }), 'invalid-manifest'],
  ['with a path as its id', signManifest(artifact, key.privateKey, { id: '../../etc/passwd' }), 'invalid-manifest'],
  ['with egress but no capability for it', signManifest(artifact, key.privateKey, { egress: ['api.example.com:443'] }), 'invalid-manifest'],
  [
    'with a capability that its type may not hold',
    signManifest(artifact, key.privateKey, { type: 'wasm', engine: 'wasm', capabilities: ['network:apply'] }),
    'invalid-manifest',
  ],
  ['with an engine that is not its type’s', signManifest(artifact, key.privateKey, { engine: 'wasm' }), 'invalid-manifest'],
  ['with a name that hides text', signManifest(artifact, key.privateKey, { name: 'safe\u202egnp.exe' }), 'invalid-manifest'],
  [
    'with a key twice',
    Buffer.from(signManifest(artifact, key.privateKey).toString().replace('{', '{"id":"example.other",')),
    'duplicate-key',
  ],
  ['with trailing data', Buffer.concat([signManifest(artifact, key.privateKey), Buffer.from('{}')]), 'invalid-json'],
  ['over its cap', signManifest(artifact, key.privateKey, { filler: 'x'.repeat(300_000) }), 'manifest-too-large'],
  ['that is a list', Buffer.from('[]'), 'invalid-manifest'],
  [
    'without a signature',
    Buffer.from(JSON.stringify({ ...JSON.parse(signManifest(artifact, key.privateKey).toString()), signature_ed25519: undefined })),
    'unsigned',
  ],
  [
    'with an empty signature',
    Buffer.from(JSON.stringify({ ...JSON.parse(signManifest(artifact, key.privateKey).toString()), signature_ed25519: '' })),
    'invalid-manifest',
  ],
];
for (const [name, bytes, code] of refusals) {
  t.test(`given a manifest ${name}, when it is judged, then it is refused as ${code}`, async (t) => {
    t.match(judge(bytes), { ok: false, fault: { code } });
  });
}

t.test('given an artifact that is not the pinned one, when the bundle is judged, then it is refused', async (t) => {
  t.match(judge(signManifest(artifact, key.privateKey), policy, hash('sha256', 'other', 'hex')), {
    ok: false,
    fault: { code: 'digest-mismatch' },
  });
});

t.test('given the extended policy, when it narrows a publisher, then ids, risk, expiry and revocations hold', async (t) => {
  const bytes = signManifest(artifact, key.privateKey);
  const fetcher = signManifest(artifact, key.privateKey, { capabilities: ['http:egress'] });
  const code = (verdict: ReturnType<typeof judge>) => (verdict.ok ? 'ok' : verdict.fault.code);
  t.equal(code(judge(bytes, extended({ ids: ['example.'] }))), 'ok');
  t.equal(code(judge(bytes, extended({ ids: ['lattice.'] }))), 'id-not-allowed');
  t.equal(code(judge(fetcher, extended({ max_risk: 'write' }))), 'risk-not-allowed');
  t.equal(code(judge(bytes, extended({ keys: [{ key: key.publicBase64, not_after: '2025-12-31T00:00:00Z' }] }))), 'key-expired');
  t.equal(code(judge(bytes, extended({}, { revoked_keys: [key.publicBase64] }))), 'key-revoked');
  t.equal(code(judge(bytes, extended({}, { revoked_bundles: [hash('sha256', bytes, 'hex')] }))), 'bundle-revoked');
  t.equal(
    code(judge(bytes, extended({ keys: [{ key: other.publicBase64 }, { key: key.publicBase64 }] }))),
    'ok',
    'a second key during a rotation',
  );
});

for (const [name, text] of [
  ['not JSON', '{'],
  ['an unknown field', '{"trusted_publishers":{},"extra":1}'],
  ['a malformed key', '{"trusted_publishers":{"a.b":"AAAA"}}'],
  ['a key of small order', `{"trusted_publishers":{"a.b":"${Buffer.alloc(32).toString('base64')}"}}`],
  ['another schema', '{"schema":"lattice.plugin.trust.v9","publishers":{}}'],
  ['a publisher twice', '{"trusted_publishers":{"a.b":"x","a.b":"y"}}'],
] as const) {
  t.test(`given a trust policy with ${name}, when it is read, then the whole is refused`, async (t) => {
    t.throws(() => parseTrustPolicy(Buffer.from(text)), { code: 'verification-failed', details: { rule: 'trust-policy' } });
  });
}
