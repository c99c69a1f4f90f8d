import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeArchive } from '../support/make-tar.ts';
import { type BundlePlace, openBundleStore } from '../support/open-bundle-store.ts';
import { signV1, signV2, unsignedV1 } from '../support/public-bundle.ts';
import { writeBundle } from '../support/signed-bundle.ts';

const archive = makeArchive([
  { name: 'bin/plugin', body: 'the entry' },
  { name: 'lib/data', body: 'more of it' },
  { name: 'empty/', type: '5' },
]);

async function stageV2(place: BundlePlace): Promise<{ sha: string; home: string }> {
  const manifest = signV2(archive, place.key.privateKey);
  writeBundle(place.pluginDir, 'tool', manifest, archive);
  await place.bundles.scan();
  const sha = hash('sha256', manifest, 'hex');
  return { sha, home: join(place.stagingDir, sha) };
}

t.test('given a v2 bundle, when it is staged and loaded, then its entry runs and its files lie read-only beside it', async (t) => {
  const place = await openBundleStore(t);
  const { sha, home } = await stageV2(place);

  const loaded = await place.bundles.load(sha);

  t.equal(loaded.artifact.toString(), 'the entry');
  t.match(loaded, {
    artifactSha256: hash('sha256', archive, 'hex'),
    entry: { path: 'bin/plugin', sha256: hash('sha256', 'the entry', 'hex') },
  });
  t.same(
    loaded.files.map(({ path, isExecutable, stagedPath }) => [path, isExecutable, readFileSync(stagedPath, 'utf8')]),
    [
      ['bin/plugin', true, 'the entry'],
      ['lib/data', false, 'more of it'],
    ],
  );
  for (const path of ['', 'artifact', 'manifest.json', 'files', 'files/bin/plugin', 'files/lib/data'])
    t.equal(lstatSync(join(home, path)).mode & 0o222, 0, path);
});

t.test('given a v1 bundle and an unsigned one that pins nothing, when they are staged and loaded, then their artifact runs', async (t) => {
  const place = await openBundleStore(t, { allowUnsigned: true });
  const artifact = Buffer.from('an executable');
  writeBundle(place.pluginDir, 'signed', signV1(artifact, place.key.privateKey, { id: 'acme.signed', interfaces: [] }), artifact);
  writeBundle(place.pluginDir, 'unsigned', unsignedV1(null), artifact);

  const { verified, refused } = await place.bundles.scan();

  t.same(refused, []);
  for (const [id, unsigned] of [
    ['acme.signed', false],
    ['acme.tool', true],
  ] as const) {
    const loaded = await place.bundles.load(verified.get(id)?.bundleSha256 ?? '');
    t.match(loaded, { manifest: { unsigned }, entry: { path: 'artifact' }, root: null, files: [] });
    t.equal(loaded.artifact.toString(), 'an executable');
  }
});

t.test('given an unsigned bundle that pins nothing, when its artifact is swapped, then that is another bundle', async (t) => {
  const place = await openBundleStore(t, { allowUnsigned: true });
  const home = writeBundle(place.pluginDir, 'unsigned', unsignedV1(null), Buffer.from('one'));
  const first = (await place.bundles.scan()).verified.get('acme.tool')?.bundleSha256 ?? '';
  writeFileSync(join(home, 'artifact'), 'two');

  const second = (await place.bundles.scan()).verified.get('acme.tool')?.bundleSha256 ?? '';

  t.not(first, second);
  t.equal((await place.bundles.load(first)).artifact.toString(), 'one');
});

const open = (home: string, path: string): string => {
  for (const folder of [home, join(home, 'files'), join(home, 'files/lib')]) chmodSync(folder, 0o700);
  return join(home, 'files', path);
};
const spoil: Readonly<Record<string, (home: string) => void>> = {
  'a changed file': (home) => {
    chmodSync(open(home, 'lib/data'), 0o600);
    writeFileSync(join(home, 'files/lib/data'), 'evil of it');
  },
  'a file more': (home) => writeFileSync(open(home, 'lib/more'), 'x'),
  'a file less': (home) => rmSync(open(home, 'lib/data')),
  'a link in place of a file': (home) => {
    rmSync(open(home, 'lib/data'));
    symlinkSync('/etc/passwd', join(home, 'files/lib/data'));
  },
  'a link in place of the tree': (home) => {
    open(home, '');
    rmSync(join(home, 'files'), { recursive: true });
    symlinkSync('/etc', join(home, 'files'));
  },
  'no tree': (home) => {
    open(home, '');
    rmSync(join(home, 'files'), { recursive: true });
  },
};
for (const [name, change] of Object.entries(spoil)) {
  t.test(`given ${name} among the unpacked files, when the bundle is loaded, then the tree is unpacked anew`, async (t) => {
    const place = await openBundleStore(t);
    const { sha, home } = await stageV2(place);
    change(home);

    const loaded = await place.bundles.load(sha);

    t.same(
      loaded.files.map(({ stagedPath }) => readFileSync(stagedPath, 'utf8')),
      ['the entry', 'more of it'],
    );
    t.same(readdirSync(join(home, 'files')).sort(), ['bin', 'empty', 'lib']);
    t.same(readdirSync(place.stagingDir), [sha]);
  });
}

t.test(
  'given a staged file or folder that was replaced by a link, when it is loaded and scanned, then it is refused and staged anew',
  async (t) => {
    const place = await openBundleStore(t);
    const { sha, home } = await stageV2(place);
    for (const replace of [
      () => {
        chmodSync(home, 0o700);
        rmSync(join(home, 'artifact'));
        symlinkSync('/etc/passwd', join(home, 'artifact'));
      },
      () => {
        open(home, '');
        rmSync(home, { recursive: true });
        symlinkSync(place.pluginDir, home);
      },
    ]) {
      replace();
      await t.rejects(place.bundles.load(sha), { code: 'verification-failed' });
      await place.bundles.scan();
      t.equal((await place.bundles.load(sha)).artifact.toString(), 'the entry');
      replace();
      await place.bundles.scan(); // without a load in between
      t.equal((await place.bundles.load(sha)).artifact.toString(), 'the entry');
    }
  },
);

t.test('given a bundle that is about to be accepted, when staging is collected, then it stays until that is over', async (t) => {
  const place = await openBundleStore(t);
  const { sha } = await stageV2(place);

  await place.bundles.keepWhile(sha, async () => {
    await place.bundles.collect(() => false);
    t.same(readdirSync(place.stagingDir), [sha]);
  });
  await place.bundles.collect(() => false);

  t.same(readdirSync(place.stagingDir), []);
});

t.test('given files that are sparse, growing or never answer, when they are scanned, then each is refused and the scan ends', async (t) => {
  const place = await openBundleStore(t);
  const manifest = signV1(Buffer.from('x'), place.key.privateKey);
  for (const folder of ['sparse', 'long', 'fifo', 'growing']) writeBundle(place.pluginDir, folder, manifest, Buffer.from('x'));
  truncateSync(join(place.pluginDir, 'sparse/artifact'), 2 ** 40);
  truncateSync(join(place.pluginDir, 'long/manifest.json'), 300 * 1024);
  rmSync(join(place.pluginDir, 'fifo/artifact'));
  execFileSync('mkfifo', [join(place.pluginDir, 'fifo/artifact')]);
  mkdirSync(join(place.pluginDir, 'folders/artifact'), { recursive: true });
  writeFileSync(join(place.pluginDir, 'folders/manifest.json'), manifest);
  let going = true;
  const grow = (): void => {
    if (!going) return;
    appendFileSync(join(place.pluginDir, 'growing/artifact'), Buffer.alloc(1 << 20));
    setImmediate(grow);
  };
  grow();

  const { refused } = await place.bundles.scan();
  going = false;

  const codes = Object.fromEntries(refused.map(({ folder, code }) => [folder, code]));
  t.match(codes, { sparse: 'file-too-large', long: 'file-too-large', fifo: 'not-a-regular-file', folders: 'not-a-regular-file' });
  t.match(codes.growing, /^(?:digest-mismatch|file-too-large)$/);
  t.same(readdirSync(place.stagingDir), []);
});
