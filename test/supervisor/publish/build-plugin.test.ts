import { cpSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { buildPlugin } from '../../../supervisor/publish/pack-plugin.ts';
import { testFolder } from '../../support/test-folder.ts';
import { bin } from '../cli/run-lattice.ts';

const manifest = {
  schema: 'lattice.plugin.manifest.v3',
  id: 'acme.tool',
  name: 'Tool',
  version: '1.0.0',
  publisher: 'acme',
  type: 'system',
};
const nodeManifest = JSON.stringify({ ...manifest, engine: 'node', capabilities: ['kv:read'] });
const nativeManifest = JSON.stringify({ ...manifest, engine: 'native', capabilities: [] });

function writeSources(t: Test): string {
  const folder = testFolder(t);
  const sources = join(folder, 'one/tool');
  mkdirSync(join(sources, 'parts'), { recursive: true });
  writeFileSync(join(sources, 'plugin.json'), nodeManifest);
  writeFileSync(
    join(sources, 'plugin.ts'),
    `import { b } from './parts/b.ts'; import { a } from './parts/a.ts'; class P { x = a; }\nexport default [b, new P(), ['ä', 'z'].sort(), import.meta.url];`,
  );
  writeFileSync(join(sources, 'parts/a.ts'), 'export const a: string = "a";');
  writeFileSync(join(sources, 'parts/b.ts'), 'export const b = Intl.DateTimeFormat().resolvedOptions().locale;');
  return sources;
}

t.test(
  'given the same sources elsewhere, with other times, another locale and settings above them, when they are packed, then no byte differs',
  async (t) => {
    const sources = writeSources(t);
    const copy = join(sources, '../../two/copy');
    cpSync(sources, copy, { recursive: true });
    for (const file of ['plugin.json', 'plugin.ts', 'parts/a.ts']) utimesSync(join(copy, file), 1, 1);
    writeFileSync(join(copy, '../tsconfig.json'), '{"compilerOptions":{"useDefineForClassFields":false,"target":"ES2015"}}');
    const pack = async (folder: string, environment: Record<string, string>) => {
      const command = ['-i', ...Object.entries(environment).map(([name, value]) => `${name}=${value}`), process.execPath, bin];
      await execa('/usr/bin/env', [...command, 'pack', folder], { extendEnv: false });
      return ['manifest.json', 'artifact'].map((name) => readFileSync(join(folder, 'bundle', name), 'utf8'));
    };

    const first = await pack(sources, { LC_ALL: 'C', TZ: 'UTC' });
    const second = await pack(copy, { LC_ALL: 'sv_SE.UTF-8', LANG: 'sv_SE', TZ: 'Asia/Tokyo', NODE_PATH: sources, NODE_ENV: 'production' });
    const again = await pack(copy, { LC_ALL: 'C' });

    t.same(second, first);
    t.same(again, first, 'the bundle of before is no input');
    t.notMatch(first[1], sources);
  },
);

t.test('given one character more, when the sources are packed, then the digest is another', async (t) => {
  const sources = writeSources(t);
  const { unsigned } = await buildPlugin(sources);
  writeFileSync(join(sources, 'parts/a.ts'), 'export const a: string = "aa";');
  t.not((await buildPlugin(sources)).unsigned.digest_sha256, unsigned.digest_sha256);
});

t.test('given a native plugin, when it is packed, then its executable is the artifact as it is; what is none is refused', async (t) => {
  const folder = testFolder(t, { 'plugin.json': nativeManifest, script: '#!/bin/sh\n' });
  await t.rejects(buildPlugin(folder), { code: 'invalid-params', details: { rule: 'missing-file', hint: /--artifact/ } });
  await t.rejects(buildPlugin(folder, join(folder, 'script')), { code: 'invalid-params', details: { rule: 'not-an-executable' } });
  const elf = Buffer.from('\x7fELF and more', 'latin1');
  writeFileSync(join(folder, 'plugin'), elf);
  writeFileSync(join(folder, 'other'), Buffer.concat([elf, elf]));
  t.ok((await buildPlugin(folder)).artifact.equals(elf));
  t.equal((await buildPlugin(folder, join(folder, 'other'))).artifact.length, 2 * elf.length);
});

for (const [name, text, rule] of [
  ['a digest', nodeManifest.replace('{', '{"digest_sha256":"00",'), 'field-of-the-bundle'],
  ['a signature', nodeManifest.replace('{', '{"signature_ed25519":"00",'), 'field-of-the-bundle'],
  ['no schema', '{"id":"acme.tool"}', 'unsupported-schema'],
  ['a key twice', '{"id":1,"id":2}', 'duplicate-key'],
  ['a capability of another world', nodeManifest.replace('kv:read', 'root:all'), 'unknown-capability'],
] as const) {
  t.test(`given a plugin.json with ${name}, when it is packed, then the rule is named`, async (t) => {
    const folder = testFolder(t, { 'plugin.json': text, 'plugin.js': 'export default 1' });
    await t.rejects(buildPlugin(folder), { code: 'invalid-params', details: { rule } });
  });
}
