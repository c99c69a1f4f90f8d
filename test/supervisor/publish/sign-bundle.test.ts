import { hash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { verifyManifest } from '../../../supervisor/manifest-verify.ts';
import { signBundleFolder } from '../../../supervisor/publish/sign-bundle.ts';
import { parseTrustPolicy } from '../../../supervisor/trust-policy.ts';
import { acmePolicy, signV1, signV2, unsignedV1 } from '../../support/public-bundle.ts';
import { makeKey, signManifest } from '../../support/signed-bundle.ts';
import { testFolder } from '../../support/test-folder.ts';

const artifact = Buffer.from('the artifact');
const [former, key] = [makeKey(), makeKey()];
const policy = parseTrustPolicy(acmePolicy(key.publicBase64));

function place(t: Test, manifest: Buffer): string {
  const folder = join(testFolder(t), 'bundle');
  mkdirSync(folder);
  writeFileSync(join(folder, 'manifest.json'), manifest);
  writeFileSync(join(folder, 'artifact'), artifact);
  return folder;
}

for (const [form, manifest] of [
  ['v1', signV1(artifact, former.privateKey)],
  ['v2', signV2(artifact, former.privateKey)],
  ['v3', signManifest(artifact, former.privateKey, { publisher: 'acme', id: 'acme.tool' })],
] as const) {
  t.test(
    `given a ${form} bundle signed with a key of before, when it is signed anew, then the new key’s signature is the only one`,
    async (t) => {
      const folder = place(t, manifest);
      t.match(verifyManifest(manifest, hash('sha256', artifact, 'hex'), policy, 0), { ok: false, fault: { code: 'signature-invalid' } });

      const signed = signBundleFolder(folder, key.privateKey);

      const bytes = readFileSync(join(folder, 'manifest.json'));
      t.ok(bytes.equals(signed.manifest));
      t.match(verifyManifest(bytes, hash('sha256', artifact, 'hex'), policy, 0), { ok: true, manifest: { form, id: 'acme.tool' } });
      t.ok(signBundleFolder(folder, key.privateKey).manifest.equals(bytes), 'signed once more, it is the same');
    },
  );
}

for (const [name, manifest, rule] of [
  ['a manifest of another artifact', signV1(Buffer.from('another'), former.privateKey), 'digest-mismatch'],
  ['a manifest that pins no artifact', unsignedV1(null), /digest/],
  ['a manifest that is a list', Buffer.from('[]'), 'invalid-manifest'],
  ['a key twice', Buffer.from('{"id":"a","id":"b"}'), 'duplicate-key'],
] as const) {
  t.test(`given ${name}, when it is signed, then it is refused and stays as it was`, async (t) => {
    const folder = place(t, manifest);
    t.throws(() => signBundleFolder(folder, key.privateKey), { code: 'verification-failed', details: { rule } });
    t.ok(readFileSync(join(folder, 'manifest.json')).equals(manifest));
  });
}

t.test('given a link in the place of an artifact, when the bundle is signed, then it is not followed', async (t) => {
  const folder = place(t, signV1(artifact, former.privateKey));
  const other = join(folder, '..', 'linked');
  mkdirSync(other);
  writeFileSync(join(other, 'manifest.json'), readFileSync(join(folder, 'manifest.json')));
  symlinkSync(join(folder, 'artifact'), join(other, 'artifact'));
  t.throws(() => signBundleFolder(other, key.privateKey), { code: 'verification-failed', details: { rule: 'not-a-regular-file' } });
});
