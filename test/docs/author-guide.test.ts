import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { capabilityNames } from '../../protocol/capabilities.ts';
import { parseManifest } from '../../protocol/manifest.ts';
import { loadPlugin } from '../../runner-child/load-plugin.ts';
import { createBundleStore } from '../../supervisor/bundle-store.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { developmentPolicy } from '../../supervisor/dev/development-key.ts';
import { packPlugin } from '../../supervisor/publish/pack-plugin.ts';
import { placeBundle } from '../../supervisor/publish/place-bundle.ts';
import { testFolder } from '../support/test-folder.ts';
import { listBlocks, projectRoot, readText } from './markdown.ts';

const guide = readText('docs/AUTHOR.md');
const sources = listBlocks(guide, 'ts');
const manifests = listBlocks(guide, 'json');
const run = promisify(execFile);

/** A block imports the package by its name, as a plugin does; here the sources stand for it. */
const place = (source: string): string => source.replaceAll("'lattice-plugin-supervisor'", `'${projectRoot}runner-child/define-plugin.ts'`);
const fileOf = (index: number): string => `block-${index + 1}.ts`;

t.test(
  'given the code of the author’s guide, when it is type-checked with the options of the project, then there is no fault',
  async (t) => {
    const config = { extends: `${projectRoot}tsconfig.json`, include: ['*.ts'] };
    const files = Object.fromEntries(sources.map((source, index) => [fileOf(index), place(source)]));
    const folder = testFolder(t, { ...files, 'tsconfig.json': JSON.stringify(config) });
    const tsc = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc');

    // Without the options that the test runner puts into every Node it sees started.
    const { stdout } = await run('/usr/bin/env', ['-i', process.execPath, tsc, '-p', folder, '--listFiles'], { cwd: folder }).catch(
      (fault: { stdout?: string }) => ({ stdout: fault.stdout ?? String(fault) }),
    );

    t.same(
      stdout.split('\n').filter((line) => /error TS/.test(line)),
      [],
    );
    for (const [index] of sources.entries()) t.match(stdout, fileOf(index), `${fileOf(index)} was looked at`);
  },
);

t.test('given the code of the author’s guide, when it is loaded, then each block exports a plugin', async (t) => {
  const folder = testFolder(t, Object.fromEntries(sources.map((source, index) => [fileOf(index), place(source)])));
  for (const [index] of sources.entries()) {
    const capabilities = capabilityNames;
    const plugin = await loadPlugin(() => import(join(folder, fileOf(index))), { services: {}, capabilities });
    t.type(plugin.services ?? plugin.background, 'object', fileOf(index));
  }
});

for (const [index, text] of manifests.entries()) {
  t.test(`given manifest ${index + 1} of the author’s guide, when it is read, then it is accepted`, async (t) => {
    const signed = { ...JSON.parse(text), digest_sha256: '0'.repeat(64), signature_ed25519: `${'A'.repeat(86)}==` };
    const parsed = parseManifest(Buffer.from(JSON.stringify(signed)));
    t.ok(parsed.ok, parsed.ok ? 'accepted' : parsed.fault.detail);
  });
}

t.test('given the first plugin of the author’s guide, when it is packed and scanned, then it is verified', async (t) => {
  const folder = testFolder(t, { source: { 'plugin.json': manifests[0] ?? '', 'plugin.ts': place(sources[0] ?? '') }, plugins: {} });
  const { privateKey } = generateKeyPairSync('ed25519');

  const packed = await packPlugin(join(folder, 'source'), privateKey);
  placeBundle(packed, join(folder, 'plugins'));
  const store = await createBundleStore({
    pluginDir: join(folder, 'plugins'),
    stagingDir: join(folder, 'staging'),
    readPolicy: async () => Buffer.from(developmentPolicy(privateKey)),
    clock: createRealClock(),
  });
  const scan = await store.scan();
  await store.collect(() => false); // staged bundles are read-only: nobody could remove the folder
  await store.close();

  t.same(scan.refused, []);
  t.same([...scan.verified.keys()], ['example.shout']);
});
