import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { capabilityNames } from '../../../protocol/capabilities.ts';
import { verifyManifest } from '../../../supervisor/manifest-verify.ts';
import { parseTrustPolicy } from '../../../supervisor/trust-policy.ts';
import { runVerb } from '../../support/run-cli.ts';
import { testFolder } from '../../support/test-folder.ts';

const source = {
  schema: 'lattice.plugin.manifest.v3',
  id: 'acme.tool',
  name: 'Tool',
  version: '1.0.0',
  publisher: 'acme',
  type: 'system',
  engine: 'node',
  capabilities: ['kv:read'],
};
const writeSources = (t: Test) => testFolder(t, { 'plugin.json': JSON.stringify(source), 'plugin.js': 'export default 1;' });

t.test(
  'given sources, when a key is made and they are packed and signed, then the service’s own verifier accepts the bundle',
  async (t) => {
    const folder = writeSources(t);
    const key = join(folder, 'acme.key');
    const out = join(folder, 'out');

    const made = await runVerb(['keygen', key]);
    t.match(made, { exitCode: 0, stdout: /^[A-Za-z0-9+/]{43}=\n$/, stderr: /trusted_publishers/ });
    t.notMatch(made.stdout + made.stderr, /PRIVATE|MC4C/);
    t.match(await runVerb(['pack', folder, '--out', out]), { exitCode: 0, stdout: /acme\.tool 1\.0\.0 .* not signed/ });
    const signed = await runVerb(['sign', out, '--key', key, '--json']);
    t.match(JSON.parse(signed.stdout), { id: 'acme.tool', publisher: 'acme', public_key: made.stdout.trim() });

    t.same(readdirSync(out).sort(), ['artifact', 'manifest.json']);
    const manifest = readFileSync(join(out, 'manifest.json'));
    const policy = parseTrustPolicy(Buffer.from(JSON.stringify({ trusted_publishers: { acme: made.stdout.trim() } })));
    t.match(verifyManifest(manifest, JSON.parse(manifest.toString()).digest_sha256, policy, 0), {
      ok: true,
      bundleSha256: JSON.parse(signed.stdout).bundle_sha256,
    });
  },
);

t.test('given a bundle that nobody signed, when it is verified, then that is said, with the command that signs it', async (t) => {
  const folder = writeSources(t);
  await runVerb(['pack', folder]);

  const ran = await runVerb(['verify', join(folder, 'bundle')]);

  t.match(ran, {
    exitCode: 5,
    stderr: new RegExp(`unsigned: the bundle is not signed.*hint: lattice sign ${folder}/bundle --key <file>`, 's'),
  });
});

t.test('given a key that others can read, when a bundle is signed, then exit 4 and the manifest stays as it was', async (t) => {
  const folder = writeSources(t);
  const key = join(folder, 'acme.key');
  await runVerb(['keygen', '--out', key]);
  await runVerb(['pack', folder]);
  chmodSync(key, 0o644);
  const before = readFileSync(join(folder, 'bundle/manifest.json'), 'utf8');

  t.match(await runVerb(['sign', join(folder, 'bundle'), '--key', key]), { exitCode: 4, stderr: /chmod 600/ });

  t.equal(readFileSync(join(folder, 'bundle/manifest.json'), 'utf8'), before);
});

t.test('given an artifact that was changed after it was packed, when it is signed, then exit 5 and nothing is signed', async (t) => {
  const folder = writeSources(t);
  const key = join(folder, 'acme.key');
  await runVerb(['keygen', key]);
  await runVerb(['pack', folder]);
  writeFileSync(join(folder, 'bundle/artifact'), 'export default 2;');
  t.match(await runVerb(['sign', join(folder, 'bundle'), '--key', key]), { exitCode: 5, stderr: /digest-mismatch/ });
  t.notMatch(readFileSync(join(folder, 'bundle/manifest.json'), 'utf8'), /signature/);
});

t.test('given a folder that is no bundle, when something is packed into it, then exit 7 and it stays as it was', async (t) => {
  const folder = writeSources(t);
  t.match(await runVerb(['pack', folder, '--out', folder]), { exitCode: 7, stderr: /is not a bundle/ });
  t.same(readdirSync(folder).sort(), ['plugin.js', 'plugin.json']);
});

t.test(
  'given the verb caps, when it is asked for JSON, then each capability stands there with its risk, sentence and methods',
  async () => {
    const { capabilities } = JSON.parse((await runVerb(['caps', '--json'])).stdout);
    t.same(capabilities.map((row: { capability: string }) => row.capability).sort(), [...capabilityNames].sort());
    t.match(
      capabilities.find((row: { capability: string }) => row.capability === 'kv:write'),
      { risk: 'write', methods: ['kv.put', 'kv.delete'], sentence: /store/ },
    );
  },
);
