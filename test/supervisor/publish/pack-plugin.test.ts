import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { developmentPolicy, ensureDevelopmentKey } from '../../../supervisor/dev/development-key.ts';
import { verifyManifest } from '../../../supervisor/manifest-verify.ts';
import { packPlugin } from '../../../supervisor/publish/pack-plugin.ts';
import { placeBundle } from '../../../supervisor/publish/place-bundle.ts';
import { parseTrustPolicy } from '../../../supervisor/trust-policy.ts';
import { makeKey } from '../../support/signed-bundle.ts';
import { testFolder } from '../../support/test-folder.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const hello = join(root, 'plugins/example.hello');

t.test(
  'given the same sources, when they are packed twice, then the bytes are the same; with one character more, both digests change',
  async (t) => {
    const { privateKey } = makeKey();
    const [once, again] = [await packPlugin(hello, privateKey), await packPlugin(hello, privateKey)];
    t.ok(once.manifest.equals(again.manifest) && once.artifact.equals(again.artifact));
    const copy = join(testFolder(t), 'hello');
    cpSync(hello, copy, { recursive: true });
    const source = readFileSync(join(copy, 'plugin.ts'), 'utf8').replaceAll('../../runner-child', join(root, 'runner-child'));
    writeFileSync(join(copy, 'plugin.ts'), source.replace('Hello', 'Hullo'));
    const changed = await packPlugin(copy, privateKey);
    t.notOk(changed.artifact.equals(once.artifact) || changed.manifest.equals(once.manifest));
    t.notMatch(once.artifact.toString(), new RegExp(dirname(hello)), 'no path of the machine is in the artifact');
  },
);

for (const [name, files, message] of [
  ['no plugin.json', { 'plugin.js': '' }, /plugin\.json does not exist/],
  ['no main file', { 'plugin.json': '{"schema":"lattice.plugin.manifest.v3"}' }, /has no plugin\.ts/],
  ['a plugin.json that is not JSON', { 'plugin.json': '{', 'plugin.js': 'export default 1' }, /plugin\.json/],
  [
    'a manifest with a fault',
    { 'plugin.json': '{"schema":"lattice.plugin.manifest.v3","id":"hello"}', 'plugin.js': 'export default 1' },
    /invalid-manifest: \/id/,
  ],
  [
    'sources that do not build',
    { 'plugin.json': '{"schema":"lattice.plugin.manifest.v3"}', 'plugin.ts': 'import "./missing.ts"' },
    /does not build.*missing/s,
  ],
] as const) {
  t.test(`given a plugin folder with ${name}, when it is packed, then the error names the fault`, async (t) => {
    await t.rejects(packPlugin(testFolder(t, files), makeKey().privateKey), { code: 'invalid-params', message });
  });
}

t.test('given a packed plugin, when it is placed, then it is there at once, whole, and placing it again changes nothing', async (t) => {
  const folder = testFolder(t);
  const packed = await packPlugin(hello, makeKey().privateKey);
  t.equal(placeBundle(packed, folder), true);
  t.equal(placeBundle(packed, folder), false);
  t.same(readdirSync(folder), ['example.hello']);
  t.same(readdirSync(join(folder, 'example.hello')).sort(), ['artifact', 'manifest.json']);
});

t.test(
  'given a data directory, when the development key is asked for twice, then it is made once, for its owner only, and signs only its own ids',
  async (t) => {
    const folder = testFolder(t);
    const first = ensureDevelopmentKey(folder);
    const second = ensureDevelopmentKey(folder);
    t.same([first.created, second.created], [true, false]);
    t.ok(first.key.equals(second.key));
    t.equal(lstatSync(join(folder, 'dev/publisher.key')).mode & 0o777, 0o600);
    const policy = parseTrustPolicy(Buffer.from(developmentPolicy(first.key)));
    const packed = await packPlugin(hello, first.key);
    const digest = JSON.parse(packed.manifest.toString()).digest_sha256;
    t.equal(verifyManifest(packed.manifest, digest, policy, 0).ok, true);
    const foreign = testFolder(t, {
      'plugin.json': readFileSync(join(hello, 'plugin.json'), 'utf8').replace('example.hello', 'acme.hello'),
      'plugin.js': 'export default {}',
    });
    const other = await packPlugin(foreign, first.key);
    t.match(verifyManifest(other.manifest, JSON.parse(other.manifest.toString()).digest_sha256, policy, 0), {
      ok: false,
      fault: { code: 'id-not-allowed' },
    });
  },
);

t.test('given a link where the key should be, when it is asked for, then the link is not followed to write a key', async (t) => {
  const folder = testFolder(t, { target: '' });
  mkdirSync(join(folder, 'dev'));
  symlinkSync(join(folder, 'target'), join(folder, 'dev/publisher.key'));
  t.throws(() => ensureDevelopmentKey(folder));
  t.equal(readFileSync(join(folder, 'target'), 'utf8'), '');
});
