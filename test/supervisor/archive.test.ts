import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { parseManifest } from '../../protocol/manifest.ts';
import { archiveLimits } from '../../supervisor/archive-paths.ts';
import { readArchive } from '../../supervisor/read-archive.ts';
import { unpackArchive } from '../../supervisor/unpack-archive.ts';
import { makeArchive, makeTar, paxEntry, type TarEntry } from '../support/make-tar.ts';
import { openBundleStore } from '../support/open-bundle-store.ts';
import { signV2 } from '../support/public-bundle.ts';
import { writeBundle } from '../support/signed-bundle.ts';
import { testFolder } from '../support/test-folder.ts';
import { type BundleCase, bundleCases } from '../support/vectors.ts';

const limitsOf = ({ limits = {} }: BundleCase) => ({
  compressedBytes: limits.MaxCompressedBytes || archiveLimits.compressedBytes,
  expandedBytes: limits.MaxExpandedBytes || archiveLimits.expandedBytes,
  fileBytes: limits.MaxFileBytes || archiveLimits.fileBytes,
  entries: limits.MaxFiles || archiveLimits.entries,
  pathBytes: limits.MaxPathBytes || archiveLimits.pathBytes,
  depth: limits.MaxDepth || archiveLimits.depth,
});

async function unpack(test: BundleCase, root: string) {
  const parsed = parseManifest(Buffer.from(test.manifest, 'base64'));
  if (!parsed.ok) throw new Error(`${test.name}: ${parsed.fault.detail}`);
  return unpackArchive(Buffer.from(test.artifact_b64, 'base64'), root, {
    manifest: parsed.manifest,
    platform: test.platform,
    limits: limitsOf(test),
  });
}

// Accepted by the public extractor, refused here by a named rule: see docs/DECISIONS.md.
const stricter: Readonly<Record<string, string>> = { 'gzip crc broken': 'archive-damaged', 'case-different names': 'path-collision' };

for (const [index, test] of bundleCases().entries()) {
  const title = `${index} ${test.name.replace(/[^\w .,"]/g, '?')}`;
  const rule = stricter[test.name];
  if (!test.expect.ok || rule !== undefined) {
    t.test(`given the archive case ${title}, when it is unpacked, then it is refused`, async (t) => {
      const refused = unpack(test, join(testFolder(t), 'files'));
      await t.rejects(refused, { code: rule ?? /^(?:archive-|duplicate-path|missing-file)/ });
    });
    continue;
  }
  t.test(
    `given the archive case ${title}, when it is unpacked, then its inventory is the public one and nobody can write it`,
    async (t) => {
      const root = join(testFolder(t), 'files');

      const inventory = await unpack(test, root);

      const told = Object.entries(test.expect.inventory ?? {}).map(([path, { size, sha256 }]) => [path, { sizeBytes: size, sha256 }]);
      t.same(Object.fromEntries(inventory), Object.fromEntries(told));
      for (const [path, { mode }] of Object.entries(test.expect.inventory ?? {}))
        t.equal(lstatSync(join(root, path)).mode & 0o777, mode === 0o700 ? 0o500 : 0o400);
    },
  );
}

t.test('given what a packer may write, when it is read, then paths and contents are those that were meant', async (t) => {
  const long = `lib/${'é'.repeat(60)}`;
  const filler = { name: 'filler', body: Buffer.alloc(65_536 - 512 * 5) };
  const seen = new Map<string, string>();
  const sink = {
    folder: (path: string) => void seen.set(path, 'folder'),
    file: (path: string) => ({ write: (bytes: Buffer) => void seen.set(path, bytes.toString()), end() {} }),
  };
  for (let shift = 0; shift < 4; shift++) {
    const named = [paxEntry({ comment: 'x'.repeat(456 + shift), path: long }), { name: 'short', body: 'named by pax' }]; // é across two chunks
    await readArchive(makeArchive([filler, { name: 'x', body: 'x' }, ...named]), sink);
    t.equal(seen.get(long), 'named by pax');
    seen.clear();
  }
  const longName = { name: '././@LongLink', type: 'L', body: `${'d/'.repeat(10)}${'n'.repeat(100)}\0` };
  const old = { name: 'old/', type: '\0' }; // the folder of the oldest tar programs
  await readArchive(
    makeArchive([longName, { name: 'x', body: 'long' }, old, paxEntry({ size: '2' }), { name: 'y', body: 'yy', size: 0 }]),
    sink,
  );
  t.same(Object.fromEntries(seen), { [`${'d/'.repeat(10)}${'n'.repeat(100)}`]: 'long', old: 'folder', y: 'yy' });
});

const entry: TarEntry = { name: 'bin/plugin', body: 'entry' };
const zeros = Buffer.alloc(31 << 20);
const hostile: Readonly<Record<string, { archive(): Buffer; code: string }>> = {
  'a symbolic link': { archive: () => makeArchive([{ name: 'bin/x', type: '2', linkname: '/etc/passwd' }, entry]), code: 'archive-entry' },
  'a hard link': { archive: () => makeArchive([entry, { name: 'bin/x', type: '1', linkname: 'bin/plugin' }]), code: 'archive-entry' },
  'a device': { archive: () => makeArchive([entry, { name: 'bin/x', type: '3' }]), code: 'archive-entry' },
  'a fifo': { archive: () => makeArchive([entry, { name: 'bin/x', type: '6' }]), code: 'archive-entry' },
  'a kind nobody knows': { archive: () => makeArchive([entry, { name: 'bin/x', type: 'Z' }]), code: 'archive-entry' },
  'a global header': { archive: () => makeArchive([paxEntry({ comment: 'x' }, 'g'), entry]), code: 'archive-entry' },
  'a global header with nothing after it': {
    archive: () => makeArchive([entry, paxEntry({ comment: 'x' }, 'g')]),
    code: 'archive-entry',
  },
  'an empty global header': { archive: () => makeArchive([{ name: 'pax', type: 'g' }, entry]), code: 'archive-entry' },
  'a file named like a folder': { archive: () => makeArchive([entry, { name: 'lib/' }]), code: 'archive-path' },
  'a file with content named like a folder': { archive: () => makeArchive([{ name: 'lib/', body: 'x' }, entry]), code: 'archive-path' },
  'a file named like a folder by its pax header': {
    archive: () => makeArchive([entry, paxEntry({ path: 'lib/' }), { name: 'lib', body: 'x' }]),
    code: 'archive-path',
  },
  'a file named like a folder by a long name': {
    archive: () => makeArchive([entry, { name: '././@LongLink', type: 'L', body: 'lib/\0' }, { name: 'lib', body: 'x' }]),
    code: 'archive-path',
  },
  'a file named like a folder behind a size of its pax header': {
    archive: () => makeArchive([paxEntry({ size: '5' }), { ...entry, size: 0 }, { name: 'lib/' }]),
    code: 'archive-path',
  },
  'entries after an empty block': {
    archive: () => gzipSync(Buffer.concat([makeTar([entry]).subarray(0, 1024), Buffer.alloc(512), makeTar([{ name: 'x', body: 'x' }])])),
    code: 'archive-damaged',
  },
  'a record within a record': {
    archive: () => makeArchive([paxEntry({ comment: 'x\n15 path=bin/no\n' }), entry]),
    code: 'archive-damaged',
  },
  'too much said about one entry': {
    archive: () => makeArchive([paxEntry({ comment: 'x'.repeat(1 << 20) }), entry]),
    code: 'archive-entry',
  },
  'a pax path with a NUL': {
    archive: () => makeArchive([entry, paxEntry({ path: 'bin/x\0y' }), { name: 'x', body: 'x' }]),
    code: 'archive-damaged',
  },
  'an absolute path': { archive: () => makeArchive([entry, { name: '/etc/cron.d/x', body: 'x' }]), code: 'archive-path' },
  'a path upwards': { archive: () => makeArchive([entry, { name: 'bin/../../x', body: 'x' }]), code: 'archive-path' },
  'a path upwards in a pax header': {
    archive: () => makeArchive([entry, paxEntry({ path: '../x' }), { name: 'ok', body: 'x' }]),
    code: 'archive-path',
  },
  'a path of bytes that are not UTF-8': { archive: () => makeArchive([entry, { name: 'bin/\ufffd', body: 'x' }]), code: 'archive-path' },
  'a path too deep': { archive: () => makeArchive([entry, { name: Array(17).fill('d').join('/'), body: 'x' }]), code: 'archive-path' },
  'a file twice': { archive: () => makeArchive([entry, { ...entry, body: 'other' }]), code: 'duplicate-path' },
  'a file under a file': { archive: () => makeArchive([entry, { name: 'bin/plugin/x', body: 'x' }]), code: 'duplicate-path' },
  'folders that differ in case': { archive: () => makeArchive([entry, { name: 'BIN/x', body: 'x' }]), code: 'path-collision' },
  'names that compose alike': {
    archive: () => makeArchive([entry, { name: 'é', body: 'x' }, { name: 'e\u0301', body: 'x' }]),
    code: 'path-collision',
  },
  'too many entries': {
    archive: () => makeArchive([entry, ...Array.from({ length: 2048 }, (_, at) => ({ name: `f${at}` }))]),
    code: 'archive-too-large',
  },
  'a file over 32 MiB': {
    archive: () => makeArchive([entry, { name: 'big', body: Buffer.alloc((32 << 20) + 1) }]),
    code: 'archive-too-large',
  },
  'files over 256 MiB together': {
    archive: () => makeArchive([entry, ...Array.from({ length: 9 }, (_, at) => ({ name: `z${at}`, body: zeros }))]),
    code: 'archive-too-large',
  },
  'a file that promises more than there is': { archive: () => gzipSync(makeTar([{ ...entry, size: 1 << 20 }])), code: 'archive-damaged' },
  'half of itself': {
    archive: () => makeArchive([entry, { name: 'x', body: Buffer.alloc(9999, 7) }]).subarray(0, 60),
    code: 'archive-damaged',
  },
  'a header that was changed': {
    archive() {
      const tar = makeTar([entry]);
      tar[0] = 0x42;
      return gzipSync(tar);
    },
    code: 'archive-damaged',
  },
  'an archive within': { archive: () => gzipSync(makeArchive([entry])), code: 'archive-damaged' },
  'no gzip at all': { archive: () => makeTar([entry]), code: 'archive-damaged' },
  'no entry point': { archive: () => makeArchive([{ name: 'bin/other', body: 'x' }]), code: 'missing-file' },
  'a folder for an entry point': { archive: () => makeArchive([{ name: 'bin/plugin/', type: '5' }]), code: 'missing-file' },
};

t.test(
  'given signed archives that hold what none may hold, when they are scanned, then each is refused and nothing is left of it',
  async (t) => {
    const { pluginDir, stagingDir, bundles, key } = await openBundleStore(t);
    for (const [name, { archive }] of Object.entries(hostile)) {
      const bytes = archive();
      writeBundle(
        pluginDir,
        name,
        signV2(bytes, key.privateKey, { id: `acme.${name.toLowerCase().replace(/[^a-z0-9]/g, '')}`, interfaces: [] }),
        bytes,
      );
    }

    const { refused, verified } = await bundles.scan();

    t.same(
      Object.fromEntries(refused.map(({ folder, code }) => [folder, code])),
      Object.fromEntries(Object.entries(hostile).map(([name, { code }]) => [name, code])),
    );
    t.equal(verified.size, 0);
    t.same(readdirSync(stagingDir), []);
    t.notOk(existsSync(join(stagingDir, '..', 'x')));
    t.ok(
      refused.every(({ id }) => id?.startsWith('acme.')),
      'each refusal says whose it would be',
    );
  },
);
