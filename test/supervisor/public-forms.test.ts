import { hash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { parseManifest } from '../../protocol/manifest.ts';
import { decodePublicManifest } from '../../protocol/public-manifest.ts';
import { verifyManifest } from '../../supervisor/manifest-verify.ts';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { acmePolicy, signV1, signV2, unsignedV1 } from '../support/public-bundle.ts';
import { makeKey } from '../support/signed-bundle.ts';

const artifact = Buffer.from('artifact bytes\n');
const digest = hash('sha256', artifact, 'hex');
const [key, other] = [makeKey(), makeKey()];
const policy = parseTrustPolicy(acmePolicy(key.publicBase64));
const judge = (bytes: Buffer, trust = policy) => verifyManifest(bytes, digest, trust, 0);
const forms = { v1: signV1(artifact, key.privateKey), v2: signV2(artifact, key.privateKey) } as const;

t.test('given a signed v1 bundle, when it is verified, then it is told like every other manifest', async (t) => {
  t.match(judge(forms.v1), {
    ok: true,
    bundleSha256: hash('sha256', forms.v1, 'hex'),
    manifest: {
      form: 'v1',
      wire: 'stdio-json-v1',
      engine: 'native',
      entrypoints: null,
      unsigned: false,
      digest_sha256: digest,
      services: [
        {
          name: 'acme.tool/items',
          methods: [{ name: 'list', effect: 'read', scopes: ['node:read'], timeout_ms: 10_000 }, { name: 'get' }],
        },
      ],
    },
  });
});

t.test(
  'given a v1 bundle with a version of any text, when it is verified, then one that is longer than a v2 may have is refused',
  async (t) => {
    const versionOf = (version: string) => judge(signV1(artifact, key.privateKey, { version }));
    t.match(versionOf('é'.repeat(32)), { ok: true });
    t.match(versionOf(`${'é'.repeat(32)}1`), { ok: false, fault: { code: 'version-too-long', detail: /64 bytes/ } });
  },
);

t.test('given a signed v2 bundle, when it is verified, then its budgets, scopes and entry points are told', async (t) => {
  const verdict = judge(forms.v2);

  t.match(verdict, { ok: true, manifest: { form: 'v2', entrypoints: { 'linux/amd64': 'bin/plugin' }, digest_sha256: digest } });
  const save = verdict.ok ? verdict.manifest.services?.[0]?.methods[1] : undefined;
  // A scope that no token here can hold is asked of an administrator.
  t.match(save, {
    name: 'save',
    effect: 'write',
    scopes: ['plugin:admin'],
    timeout_ms: 2000,
    budget: { stdout_bytes: 4096, host_calls: 3 },
  });
});

t.test('given a plugin with host capabilities, when a v1 or writing v2 method is told, then its effect is host', async (t) => {
  const capabilities = ['task:run'];
  for (const bytes of [signV1(artifact, key.privateKey, { capabilities }), signV2(artifact, key.privateKey, { capabilities })]) {
    const verdict = judge(bytes);
    t.equal(verdict.ok && verdict.manifest.services?.[0]?.methods[1]?.effect, 'host');
  }
});

t.test('given a service that the server’s core would answer, when the manifest is told, then it is no service of the plugin', async (t) => {
  const interfaces = [{ service: 'acme.tool/core', methods: [{ name: 'list', effect: 'read', scopes: ['node:read'] }], backing: 'core' }];

  const verdict = judge(signV2(artifact, key.privateKey, { interfaces }));

  t.ok(verdict.ok);
  t.equal(verdict.ok && verdict.manifest.services, undefined);
});

for (const [form, bytes] of Object.entries(forms)) {
  t.test(`given any bit of a signed ${form} manifest flipped, when it is verified, then it is refused`, async (t) => {
    const passed: string[] = [];
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const copy = Buffer.from(bytes);
        copy[at] = (copy[at] ?? 0) ^ (1 << bit);
        if (judge(copy).ok) passed.push(`${at}.${bit}`);
      }
    }
    t.same(passed, []);
  });

  t.test(`given a ${form} manifest signed by another key, when it is verified, then it is refused`, async (t) => {
    const foreign = form === 'v1' ? signV1(artifact, other.privateKey) : signV2(artifact, other.privateKey);
    t.match(judge(foreign), { ok: false, failed: 'signature', fault: { code: 'signature-invalid' } });
  });

  t.test(`given a ${form} manifest without its signature or its publisher, when it is verified, then it is refused`, async (t) => {
    const raw = JSON.parse(bytes.toString()) as Record<string, unknown>;
    t.match(judge(Buffer.from(JSON.stringify({ ...raw, signature_ed25519: '' }))), { ok: false, fault: { code: 'signature-missing' } });
    t.match(judge(Buffer.from(JSON.stringify({ ...raw, publisher: '' }))), { ok: false, fault: { code: 'publisher-missing' } });
  });

  t.test(
    `given anything in place of any member of a ${form} manifest, when it is parsed, then it is judged and nothing is thrown`,
    async (t) => {
      const raw = JSON.parse(bytes.toString()) as Record<string, unknown>;
      fc.assert(
        fc.property(fc.constantFrom(...Object.keys(raw)), fc.jsonValue({ maxDepth: 5 }), (name, value) => {
          const verdict = judge(Buffer.from(JSON.stringify({ ...raw, [name]: value })));
          return (
            !verdict.ok ||
            JSON.stringify(value) === JSON.stringify(raw[name]) ||
            (name === 'signature_ed25519' && value === String(raw[name]))
          );
        }),
        { numRuns: 3000 },
      );
      t.pass();
    },
  );
}

t.test('given any bytes, when they are parsed as a manifest, then nothing is thrown', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => parseManifest(bytes).ok === false),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) => parseManifest(Buffer.from(text)).ok === false),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test(
  'given one v1 payload that two manifests could have, when the fields are cut elsewhere, then the other one is refused',
  async (t) => {
    const raw = JSON.parse(forms.v1.toString()) as Record<string, string>;
    const cuts = [
      { version: `${raw.version}\n${raw.entrypoint}`, entrypoint: '' },
      { version: '', entrypoint: `${raw.version}\n${raw.entrypoint}` },
      { entrypoint: `${raw.entrypoint}\n${raw.publisher}`, publisher: '' },
      { name: `${raw.name}\n${raw.type}`, type: '' },
      { id: `${raw.id}\n${raw.name}`, name: '' },
      { capabilities: ['kv:read\nnull'], interfaces: [] },
      { capabilities: ['kv:read\0log:write'] },
    ];
    for (const cut of cuts) t.equal(judge(Buffer.from(JSON.stringify({ ...raw, ...cut }))).ok, false, JSON.stringify(cut));
  },
);

t.test('given a manifest of one form, when it is presented as another, then its signature does not carry over', async (t) => {
  const v1 = JSON.parse(forms.v1.toString()) as Record<string, unknown>;
  const v2 = JSON.parse(forms.v2.toString()) as Record<string, unknown>;
  for (const raw of [
    { ...v1, schema: v2.schema },
    { ...v2, schema: '' },
    { ...v2, schema: 'lattice.plugin.manifest.v3' },
    { ...v2, signature_ed25519: v1.signature_ed25519 },
  ])
    t.equal(judge(Buffer.from(JSON.stringify(raw))).ok, false);
});

t.test('given ids that look alike or normalise alike, when they are parsed, then only plain ones are ids', async (t) => {
  for (const id of [
    'acme.tооl',
    'ａcme.tool',
    'acme.tool\u0301',
    'ACME.tool',
    'acme.tool\u200b',
    '\ufeffacme.tool',
    'acme..tool',
    'acme_tool',
    'verify',
  ])
    t.equal(judge(signV1(artifact, key.privateKey, { id, interfaces: [] })).ok, false, id);
});

t.test('given JSON of any depth of strings, when the payload is made, then it is the same for every spelling of the text', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (name) => {
      const raw = { ...(JSON.parse(forms.v2.toString()) as Record<string, unknown>), name };
      const escaped = JSON.stringify(raw).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
      const payload = (text: string) => decodePublicManifest(JSON.parse(text) as Record<string, unknown>).payload;
      return payload(escaped).equals(payload(JSON.stringify(raw, null, 2)));
    }),
  );
  t.pass();
});

const lenient = (more = {}) => parseTrustPolicy(acmePolicy(key.publicBase64, more), { allowUnsigned: true });

t.test(
  'given an unsigned v1 bundle, when it is verified, then only the setting lets it in, and host risk needs the policy too',
  async (t) => {
    t.match(judge(unsignedV1(artifact)), { ok: false, failed: 'publisher', fault: { code: 'unsigned' } });
    t.match(judge(unsignedV1(artifact), lenient()), { ok: true, manifest: { unsigned: true, publisher: '' } });
    const hostRisk = unsignedV1(artifact, { capabilities: ['task:run'] });
    t.match(judge(hostRisk, lenient()), { ok: false, fault: { code: 'unsigned-host-risk' } });
    t.match(judge(hostRisk, lenient({ allow_unsigned_host_risk: true })), { ok: true, manifest: { unsigned: true } });
    t.match(judge(hostRisk, parseTrustPolicy(acmePolicy(key.publicBase64, { allow_unsigned_host_risk: true }))), { ok: false });
  },
);

t.test(
  'given an unsigned manifest that pins no artifact, when it is verified, then the artifact is part of the bundle’s name',
  async (t) => {
    const bytes = unsignedV1(null);
    const [one, two] = [digest, hash('sha256', 'other', 'hex')].map((sha) => verifyManifest(bytes, sha, lenient(), 0));

    t.match(one, { ok: true, manifest: { digest_sha256: digest } });
    t.not(one?.ok && one.bundleSha256, two?.ok && two.bundleSha256);
  },
);

t.test('given an unsigned v2 manifest, when it is verified with every leave there is, then it is refused', async (t) => {
  const raw = JSON.parse(forms.v2.toString()) as Record<string, unknown>;
  const bytes = Buffer.from(JSON.stringify({ ...raw, publisher: '', signature_ed25519: '' }));

  t.match(judge(bytes, lenient({ allow_unsigned_host_risk: true })), { ok: false, fault: { code: 'publisher-missing' } });
});
