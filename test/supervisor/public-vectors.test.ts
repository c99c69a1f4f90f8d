import { createPublicKey, hash, verify } from 'node:crypto';
import t from 'tap';
import { asHostError } from '../../protocol/errors.ts';
import { parseManifest } from '../../protocol/manifest.ts';
import { decodePublicManifest } from '../../protocol/public-manifest.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { compareVersions, faultOfRange, isInRange } from '../../protocol/version-range.ts';
import { verifyManifest } from '../../supervisor/manifest-verify.ts';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { isAllowedRefusal, stricterRules } from '../support/stricter-rules.ts';
import { type ManifestCase, manifestCases, realManifests, versionCases } from '../support/vectors.ts';

/** The rule of our refusal, or null when we accept. A policy that is refused ends the service, so it refuses every bundle. */
function judge(test: ManifestCase, allowUnsigned: boolean): string | null {
  try {
    const policy = parseTrustPolicy(Buffer.from(test.policy, 'utf8'), { allowUnsigned });
    const artifact = hash('sha256', Buffer.from(test.artifact_b64, 'base64'), 'hex');
    const verdict = verifyManifest(Buffer.from(test.manifest, 'base64'), artifact, policy, 0);
    return verdict.ok ? null : verdict.fault.code;
  } catch (error) {
    const { message } = asHostError(error);
    return (
      Object.keys(stricterRules).find((rule) => message.includes(rule)) ?? (message.includes('same key twice') ? 'duplicate-key' : message)
    );
  }
}

const groups = Map.groupBy(manifestCases(), ({ name }) => name.slice(0, name.indexOf('/')));
for (const [group, cases] of groups) {
  const [accepted, refused] = [cases.filter(({ expect }) => expect.ok), cases.filter(({ expect }) => !expect.ok)];

  t.test(`given the ${refused.length} refused cases of ${group}, when each is verified, then none is accepted here`, async (t) => {
    t.same(
      refused.filter((test) => judge(test, true) === null).map(({ name }) => name),
      [],
    );
  });

  t.test(
    `given the ${accepted.length} accepted cases of ${group}, when one is refused here, then by a named rule that its input bears out`,
    async (t) => {
      const faults = accepted.map((test) => ({ name: test.name, rule: judge(test, true), test }));
      t.same(
        faults.filter(({ rule, test }) => rule !== null && !isAllowedRefusal(rule, test)).map(({ name, rule }) => `${name}: ${rule}`),
        [],
      );
    },
  );
}

t.test('given all cases, when they are counted, then most accepted ones are accepted here and every named rule is met', async (t) => {
  const verdicts = manifestCases().flatMap((test) => (test.expect.ok ? [judge(test, true)] : []));

  t.equal(verdicts.filter((rule) => rule === null).length, 251);
  t.same(new Set([...verdicts, 'unsigned']), new Set([null, ...Object.keys(stricterRules)]));
});

t.test('given unsigned bundles and no leave for them, when they are verified, then each is refused as unsigned', async (t) => {
  const unsigned = manifestCases().filter((test) => test.expect.ok && judge(test, true) === null && judge(test, false) !== null);

  t.ok(unsigned.length > 10);
  t.ok(unsigned.every((test) => judge(test, false) === 'unsigned' && isAllowedRefusal('unsigned', test)));
});

t.test(
  'given every case whose text is plain JSON, when its payload is made, then its bytes are those the public server signs',
  async (t) => {
    const wrong: string[] = [];
    let compared = 0;
    for (const test of manifestCases()) {
      const parsed = parseStrict(Buffer.from(test.manifest, 'base64'));
      if (!parsed.ok || test.expect.payload_sha256 === undefined || judge(test, true) === 'unknown-field') continue;
      if (/ \d{16,} exceeds/.test(test.expect.error ?? '')) continue; // a number that no double holds
      const { payload } = decodePublicManifest(parsed.value as Record<string, unknown>);
      if (hash('sha256', payload, 'hex') !== test.expect.payload_sha256 || payload.length !== test.expect.payload_len)
        wrong.push(test.name);
      compared++;
    }

    t.same(wrong, []);
    t.ok(compared > 850, `${compared} compared`);
  },
);

const latticenet = createPublicKey({
  key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from('Ex4sJBNHgemwqhtaBwuoOf4Zg3iz5kojM+JeWBcDo40=', 'base64').toString('base64url') },
  format: 'jwk',
});
for (const real of realManifests()) {
  t.test(`given the published manifest ${real.name}, when it is read, then payload and signature are judged as recorded`, async (t) => {
    const bytes = Buffer.from(real.manifest, 'base64');
    if (real.payload_sha256 === null) return t.match(parseManifest(bytes), { ok: false, fault: { code: 'unknown-field' } });

    const { payload, manifest } = decodePublicManifest(JSON.parse(bytes.toString('utf8')) as Record<string, unknown>);

    t.equal(hash('sha256', payload, 'hex'), real.payload_sha256);
    t.equal(verify(null, payload, latticenet, Buffer.from(manifest.signature_ed25519, 'base64')), real.sig_ok);
    const parsed = parseManifest(bytes);
    const foreign = (manifest.capabilities ?? []).some((name) =>
      /^(?:rpc|secret|netguard|netpolicy|subscription|wireguard):|operator-target/.test(name),
    );
    t.equal(parsed.ok, real.validate_ok && !foreign, parsed.ok ? 'accepted' : `${parsed.fault.code}: ${parsed.fault.detail}`);
    if (foreign && real.validate_ok) t.match(parsed, { ok: false, fault: { code: 'unknown-capability' } });
  });
}

t.test('given the cases of version ranges, when each is judged, then the verdict is the public one', async (t) => {
  const wrong = versionCases().filter((test) =>
    'a' in test
      ? compareVersions(test.a, test.b) !== test.expect.cmp
      : (faultOfRange(test.range) === null) !== test.expect.valid || isInRange(test.version, test.range) !== test.expect.ok,
  );

  t.same(wrong, []);
});
