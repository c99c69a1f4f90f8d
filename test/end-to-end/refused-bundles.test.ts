import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, hash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { type BundleStore, createBundleStore } from '../../supervisor/bundle-store.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { verifyManifest } from '../../supervisor/manifest-verify.ts';
import type { PackedPlugin } from '../../supervisor/publish/pack-plugin.ts';
import { placeBundle } from '../../supervisor/publish/place-bundle.ts';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { type BundleOrder, signBundle, testPublisher, trustPolicy } from '../support/sign-bundle.ts';
import { removeTree } from '../support/start-service.ts';

const { privateKey: key } = generateKeyPairSync('ed25519');
const { privateKey: otherKey } = generateKeyPairSync('ed25519');
const source = 'export default {};\n';
const sign = (id: string, order: Partial<BundleOrder> = {}): PackedPlugin => signBundle({ key, id, source, ...order });

type Place = { pluginDir: string; stagingDir: string; bundles: BundleStore };

async function openPlace(t: Test): Promise<Place> {
  const root = mkdtempSync(join(tmpdir(), 'lattice-test-'));
  const pluginDir = join(root, 'bundles');
  const stagingDir = join(root, 'staging');
  mkdirSync(pluginDir);
  const policy = Buffer.from(trustPolicy({ [testPublisher]: key, 'other.local': otherKey }));
  const bundles = await createBundleStore({ pluginDir, stagingDir, readPolicy: async () => policy, clock: createRealClock() });
  t.teardown(async () => {
    await bundles.close();
    removeTree(root);
  });
  return { pluginDir, stagingDir, bundles };
}

/** Writes a bundle as it is, without any care. */
function write(pluginDir: string, folder: string, { manifest, artifact }: { manifest: Buffer; artifact: Buffer }): string {
  const home = join(pluginDir, folder);
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'manifest.json'), manifest);
  writeFileSync(join(home, 'artifact'), artifact);
  return home;
}

const flip = (bytes: Buffer, at: number, bit = 1): Buffer => {
  const changed = Buffer.from(bytes);
  changed[at] = (changed[at] ?? 0) ^ bit;
  return changed;
};

type Spoil = (pluginDir: string, folder: string) => void;
const put =
  (bundle: PackedPlugin, change: (bundle: PackedPlugin) => { manifest: Buffer; artifact: Buffer } = (same) => same): Spoil =>
  (pluginDir, folder) =>
    void write(pluginDir, folder, change(bundle));
const editText = (bundle: PackedPlugin, from: string, to: string) => ({
  ...bundle,
  manifest: Buffer.from(bundle.manifest.toString().replace(from, to)),
});

const spoiled: Record<string, { code: string; spoil: Spoil }> = {
  'artifact-changed': { code: 'digest-mismatch', spoil: put(sign('bad.a1'), (b) => ({ ...b, artifact: flip(b.artifact, 3) })) },
  'artifact-longer': {
    code: 'digest-mismatch',
    spoil: put(sign('bad.a2'), (b) => ({ ...b, artifact: Buffer.concat([b.artifact, Buffer.from('\n')]) })),
  },
  'artifact-empty': { code: 'digest-mismatch', spoil: put(sign('bad.a3'), (b) => ({ ...b, artifact: Buffer.alloc(0) })) },
  'capability-added': {
    code: 'signature-invalid',
    spoil: put(sign('bad.m1'), (b) => editText(b, '"capabilities":[]', '"capabilities":["kv:write"]')),
  },
  'version-changed': { code: 'signature-invalid', spoil: put(sign('bad.m2'), (b) => editText(b, '"1.0.0"', '"1.0.1"')) },
  'key-twice': { code: 'duplicate-key', spoil: put(sign('bad.m3'), (b) => editText(b, '{', '{"id":"good.one",')) },
  'proto-key': { code: 'forbidden-key', spoil: put(sign('bad.m4'), (b) => editText(b, '{', '{"__proto__":{},')) },
  'unknown-field': { code: 'invalid-manifest', spoil: put(sign('bad.m5', { more: { postinstall: 'sh' } })) },
  'unknown-capability': { code: 'unknown-capability', spoil: put(sign('bad.m6', { capabilities: ['fs:read'] })) },
  'unknown-schema': { code: 'unsupported-schema', spoil: put(sign('bad.m7', { more: { schema: 'lattice.plugin.manifest.v9' } })) },
  'other-key': { code: 'signature-invalid', spoil: put(sign('bad.k1', { key: otherKey })) },
  'unknown-publisher': { code: 'publisher-not-trusted', spoil: put(sign('bad.k2', { more: { publisher: 'evil.example' } })) },
  'worker-with-host-risk': {
    code: 'invalid-manifest',
    spoil: put(sign('bad.k3', { capabilities: ['network:apply'], more: { type: 'worker', engine: 'quickjs' } })),
  },
  'manifest-too-large': {
    code: 'file-too-large',
    spoil: put(sign('bad.s1'), (b) => ({ ...b, manifest: Buffer.concat([b.manifest, Buffer.alloc(256 * 1024, ' ')]) })),
  },
  'artifact-too-large': {
    code: 'file-too-large',
    spoil: put(sign('bad.s2'), (b) => ({ ...b, artifact: Buffer.alloc(64 * 1024 * 1024 + 1) })),
  },
  'trailing-data': {
    code: 'invalid-json',
    spoil: put(sign('bad.s3'), (b) => ({ ...b, manifest: Buffer.concat([b.manifest, Buffer.from('{}')]) })),
  },
  'invalid-utf8': {
    code: 'invalid-utf8',
    spoil: put(sign('bad.s4'), (b) => ({ ...b, manifest: Buffer.concat([b.manifest, Buffer.from([0xff])]) })),
  },
  'manifest-empty': { code: 'invalid-json', spoil: put(sign('bad.s5'), (b) => ({ ...b, manifest: Buffer.alloc(0) })) },
  'folder-empty': { code: 'missing-file', spoil: (pluginDir, folder) => mkdirSync(join(pluginDir, folder)) },
  'a-file': { code: 'not-a-folder', spoil: (pluginDir, folder) => writeFileSync(join(pluginDir, folder), 'x') },
  'linked-folder': {
    code: 'not-a-folder',
    spoil(pluginDir, folder) {
      write(join(pluginDir, '..', 'outside'), folder, sign('bad.l1'));
      symlinkSync(join(pluginDir, '..', 'outside', folder), join(pluginDir, folder));
    },
  },
  'linked-manifest': { code: 'not-a-regular-file', spoil: (pluginDir, folder) => link(pluginDir, folder, 'manifest.json') },
  'linked-artifact': { code: 'not-a-regular-file', spoil: (pluginDir, folder) => link(pluginDir, folder, 'artifact') },
  'fifo-as-artifact': { code: 'not-a-regular-file', spoil: (pluginDir, folder) => makeFifo(pluginDir, folder, 'artifact') },
  'fifo-as-manifest': { code: 'not-a-regular-file', spoil: (pluginDir, folder) => makeFifo(pluginDir, folder, 'manifest.json') },
  'folder-as-artifact': {
    code: 'not-a-regular-file',
    spoil: (pluginDir, folder) => mkdirSync(replaced(pluginDir, folder, 'artifact')),
  },
  'twice-1': { code: 'duplicate-id', spoil: put(sign('bad.twice')) },
  'twice-2': { code: 'duplicate-id', spoil: put(sign('bad.twice', { source: 'export default { services: {} };' })) },
  'twin-1': { code: 'duplicate-id', spoil: put(sign('bad.twin')) },
  'twin-2': { code: 'duplicate-id', spoil: put(sign('bad.twin')) },
};

/** Writes a good bundle, moves one of its files aside, and returns the path that is free now. */
function replaced(pluginDir: string, folder: string, name: string): string {
  const home = write(pluginDir, folder, sign(`bad.${folder}`));
  const outside = join(pluginDir, '..', 'moved');
  mkdirSync(outside, { recursive: true });
  renameSync(join(home, name), join(outside, `${folder}-${name}`));
  return join(home, name);
}
const link = (pluginDir: string, folder: string, name: string) =>
  symlinkSync(join(pluginDir, '..', 'moved', `${folder}-${name}`), replaced(pluginDir, folder, name));
const makeFifo = (pluginDir: string, folder: string, name: string) => void execFileSync('mkfifo', [replaced(pluginDir, folder, name)]);

t.test(
  'given bundles that are wrong in every way and a good one, when they are scanned, then each reason is listed and the good one is offered',
  async (t) => {
    const { pluginDir, stagingDir, bundles } = await openPlace(t);
    const good = sign('good.one');
    placeBundle(good, pluginDir);
    for (const [folder, { spoil }] of Object.entries(spoiled)) spoil(pluginDir, folder);

    const scan = await bundles.scan();

    t.same([...scan.verified.keys()], ['good.one']);
    const reasons = Object.fromEntries(scan.refused.map((row) => [row.folder, row.code]));
    t.same(reasons, Object.fromEntries(Object.entries(spoiled).map(([folder, { code }]) => [folder, code])));
    for (const { detail } of scan.refused) t.notMatch(detail, /\/tmp|lattice-test/, 'no reason names a path');
    const twins = ['twice-1', 'twice-2', 'twin-1'].map((folder) => readFileSync(join(pluginDir, folder, 'manifest.json')));
    const stageable = [good.manifest, ...twins].map((manifest) => hash('sha256', manifest, 'hex'));
    t.same(readdirSync(stagingDir).sort(), stageable.sort(), 'nothing refused is staged');
  },
);

t.test('given a signed manifest, when any one bit of it is flipped, then it is refused', async (t) => {
  const policy = parseTrustPolicy(Buffer.from(trustPolicy({ [testPublisher]: key })));
  const { manifest, artifact } = sign('good.flipped', { capabilities: ['kv:read'], services: { tool: ['echo'] } });
  const digest = hash('sha256', artifact, 'hex');
  t.ok(verifyManifest(manifest, digest, policy, 0).ok);

  const accepted = Array.from(manifest.keys()).flatMap((at) =>
    [1, 2, 4, 8, 16, 32, 64, 128]
      .filter((bit) => verifyManifest(flip(manifest, at, bit), digest, policy, 0).ok)
      .map((bit) => ({ at, bit })),
  );

  t.same(accepted, []);
});

t.test('given an accepted bundle, when its staged copy is changed by hand, then it does not run', async (t) => {
  const { pluginDir, stagingDir, bundles } = await openPlace(t);
  const bundle = sign('good.staged');
  placeBundle(bundle, pluginDir);
  await bundles.scan();
  const sha = hash('sha256', bundle.manifest, 'hex');
  const copy = join(stagingDir, sha);
  t.equal((await bundles.load(sha)).artifact.toString(), source);

  for (const [name, rule] of [
    ['artifact', 'digest-mismatch'],
    ['manifest.json', 'staged-copy-changed'],
  ] as const) {
    chmodSync(copy, 0o700);
    chmodSync(join(copy, name), 0o600);
    writeFileSync(join(copy, name), flip(readFileSync(join(copy, name)), 5));
    await t.rejects(bundles.load(sha), { code: 'verification-failed', details: { rule } }, name);
    await bundles.scan();
    t.equal((await bundles.load(sha)).artifact.toString(), source, 'a scan staged it anew');
  }
  chmodSync(copy, 0o700);
  renameSync(join(copy, 'artifact'), join(stagingDir, '..', 'aside'));
  symlinkSync(join(stagingDir, '..', 'aside'), join(copy, 'artifact'));
  await t.rejects(bundles.load(sha), { code: 'verification-failed', details: { rule: 'not-a-regular-file' } });
  await t.rejects(bundles.load('0'.repeat(64)), { code: 'verification-failed', details: { rule: 'missing-file' } });
});

t.test(
  'given a folder that another process swaps all the time, when it is scanned 200 times, then no verified result has other bytes',
  async (t) => {
    const { pluginDir, stagingDir, bundles } = await openPlace(t);
    const first = sign('good.swapped');
    const second = sign('good.swapped', { source: 'export default { services: {} };\n', more: { version: '2.0.0' } });
    const evil = Buffer.from('process.exit(66);\n');
    const known = new Map([first, second].map((bundle) => [hash('sha256', bundle.manifest, 'hex'), bundle.artifact.toString()]));
    for (const [index, bundle] of [first, second, { ...first, artifact: evil }, { ...second, artifact: first.artifact }].entries())
      write(join(pluginDir, '..', 'variants'), String(index), bundle);
    const swapper = spawn(process.execPath, [fileURLToPath(new URL('../support/swap-folders.ts', import.meta.url)), pluginDir], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => swapper.once('close', resolve));
    await new Promise((resolve) => swapper.stdout.once('data', resolve));

    let verified = 0;
    for (let count = 0; count < 200; count++) {
      const bundle = (await bundles.scan()).verified.get('good.swapped');
      if (!bundle) continue;
      verified++;
      const { artifact } = await bundles.load(bundle.bundleSha256);
      if (artifact.toString() !== known.get(bundle.bundleSha256)) t.fail('bytes that nobody signed under this manifest');
    }
    swapper.stdin.end();
    await ended;

    t.ok(verified > 0, 'some scans met a whole bundle');
    for (const sha of readdirSync(stagingDir)) t.equal((await bundles.load(sha)).artifact.toString(), known.get(sha));
  },
);
