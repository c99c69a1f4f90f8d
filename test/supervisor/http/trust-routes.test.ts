import { hash } from 'node:crypto';
import t from 'tap';
import { makeArchive } from '../../support/make-tar.ts';
import { openBundleStore } from '../../support/open-bundle-store.ts';
import { signV1, signV2 } from '../../support/public-bundle.ts';
import { startApp, trustedKey } from './start-app.ts';

const artifact = Buffer.from('an executable');
const manifest = JSON.parse(signV1(artifact, trustedKey.privateKey, { capabilities: ['log:write', 'kv:read'] }).toString()) as Record<
  string,
  unknown
>;
const good = { manifest, artifact_base64: artifact.toString('base64') };

t.test('given a trusted bundle, when it is verified, then the answer is the public server’s, without the signature', async (t) => {
  const app = await startApp(t);

  const { status, body } = await app.ask('POST', '/api/plugins/verify', { body: good });

  const { signature_ed25519: _signature, ...unsigned } = manifest;
  t.equal(status, 200);
  t.match(body, {
    trusted: true,
    unsigned: false,
    manifest: unsigned,
    artifact_sha256: hash('sha256', artifact, 'hex'),
    capabilities: [
      { name: 'kv:read', risk: 'read' },
      { name: 'log:write', risk: 'write' },
    ],
  });
  t.notOk(JSON.stringify(body).includes(String(manifest.signature_ed25519)));
});

for (const [name, change, rule, failed] of [
  ['another artifact', { artifact_base64: 'AAAA' }, 'digest-mismatch', 'artifact'],
  ['a changed manifest', { manifest: { ...manifest, name: 'Other' } }, 'signature-invalid', 'signature'],
  ['a stranger’s manifest', { manifest: { ...manifest, publisher: 'stranger' } }, 'publisher-not-trusted', 'publisher'],
  ['a field nobody knows', { manifest: { ...manifest, extra: 1 } }, 'unknown-field', 'manifest'],
] as const) {
  t.test(`given ${name}, when it is verified, then 400 names the rule and the check that failed`, async (t) => {
    const app = await startApp(t);
    t.match(await app.ask('POST', '/api/plugins/verify', { body: { ...good, ...change } }), {
      status: 400,
      body: { code: 'verification-failed', rule, failed, error: { code: 'bad_request' } },
    });
  });
}

for (const [name, body] of [
  ['a field more', { ...good, more: 1 }],
  ['no manifest', { artifact_base64: '' }],
  ['a manifest that is a list', { ...good, manifest: [] }],
  ['base64 with a line break', { ...good, artifact_base64: 'AA\nAA' }],
] as const) {
  t.test(`given a request with ${name}, when it is sent, then it is 400`, async (t) => {
    const app = await startApp(t);
    t.match(await app.ask('POST', '/api/plugins/verify', { body }), { status: 400, body: { code: 'invalid-params' } });
  });
}

t.test('given bodies of different sizes, when they are sent, then 4 MiB is the limit here and 1 MiB elsewhere', async (t) => {
  const app = await startApp(t);
  const sized = (bytes: number) => ({ ...good, artifact_base64: Buffer.alloc(bytes).toString('base64') });

  t.match(await app.ask('POST', '/api/plugins/verify', { body: sized(2.9 * 1024 * 1024) }), {
    status: 400,
    body: { rule: 'digest-mismatch' },
  });
  t.match(await app.ask('POST', '/api/plugins/verify', { body: sized(3.2 * 1024 * 1024) }), {
    status: 413,
    body: { limit_bytes: 4 * 1024 * 1024 },
  });
  t.match(await app.ask('POST', '/api/plugins/call', { body: sized(1024 * 1024) }), { status: 413, body: { limit_bytes: 1024 * 1024 } });
});

t.test('given a token without the scope, when it asks to verify, then it is refused', async (t) => {
  const app = await startApp(t);
  const { token } = await app.tokens.create({ name: 'reader', scopes: ['audit:read'] }, null);

  t.match(await app.ask('POST', '/api/plugins/verify', { token, body: good }), { status: 403, body: { scope: 'plugin:verify' } });
});

t.test('given a trust policy, when it is asked for, then who may sign what is told', async (t) => {
  const app = await startApp(t);

  t.match(await app.ask('GET', '/api/plugin-trust'), {
    status: 200,
    body: {
      publishers: ['acme'],
      non_official: ['acme'],
      allow_unsigned_host_risk: false,
      rules: [
        { publisher: 'acme', keys: [{ key: trustedKey.publicBase64, not_after: null, revoked: false }], ids: null, max_risk: 'host' },
      ],
      index: null,
    },
  });
});

t.test('given a v2 bundle whose archive could not be unpacked, when it is verified, then it is refused as a scan would', async (t) => {
  const { bundles, key } = await openBundleStore(t);
  const whole = makeArchive([{ name: 'bin/plugin', body: 'x' }]);
  const linked = makeArchive([
    { name: 'bin/plugin', body: 'x' },
    { name: 'bin/x', type: '2', linkname: '/etc' },
  ]);

  t.match(await bundles.verify(signV2(whole, key.privateKey), whole), { ok: true });
  t.match(await bundles.verify(signV2(linked, key.privateKey), linked), {
    ok: false,
    failed: 'artifact',
    fault: { code: 'archive-entry' },
  });
});
