import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { packExamples } from '../../../supervisor/dev/example-plugins.ts';
import { testFolder } from '../../support/test-folder.ts';

const manifest = (id: string) =>
  JSON.stringify({
    schema: 'lattice.plugin.manifest.v3',
    ...{ id, name: 'One', version: '1.0.0', publisher: 'dev.local', type: 'system', engine: 'node', capabilities: [] },
  });
const sources = (id: string) => ({ 'plugin.json': manifest(id), 'plugin.js': 'export default {};' });

function open(t: Test) {
  const folder = testFolder(t, { plugins: { one: sources('example.one'), two: sources('example.two') }, data: {} });
  const bundle = (id: string) => join(folder, 'data/plugins', id);
  const said: string[] = [];
  const pack = () => packExamples(join(folder, 'data'), (line) => said.push(line), join(folder, 'plugins'));
  return { folder, bundle, said, pack };
}

t.test('given a plugin whose sources are removed, when the rest is packed again, then its bundle goes, and that is said', async (t) => {
  const { folder, bundle, said, pack } = open(t);
  await pack();
  rmSync(join(folder, 'plugins/two'), { recursive: true });

  await pack();

  t.same([existsSync(bundle('example.one')), existsSync(bundle('example.two'))], [true, false]);
  t.match(said.at(-1), /^removed the bundle of example\.two/);
});

t.test('given bundles that others put there or changed, when all is packed again, then they stay', async (t) => {
  const { folder, bundle, pack } = open(t);
  await pack();
  cpSync(bundle('example.one'), bundle('acme.three'), { recursive: true });
  writeFileSync(join(bundle('example.two'), 'manifest.json'), '{}');
  rmSync(join(folder, 'plugins/two'), { recursive: true });

  await pack();

  t.same([existsSync(bundle('acme.three')), existsSync(bundle('example.two'))], [true, true]);
});

t.test('given a plugin that does not build, when all is packed, then the fault names its folder', async (t) => {
  const { folder, pack } = open(t);
  writeFileSync(join(folder, 'plugins/two/plugin.js'), 'const a = ;\n');

  await t.rejects(pack(), { code: 'invalid-params', message: /^plugins\/two: the plugin does not build: .*plugin\.js:1:/s });

  writeFileSync(join(folder, 'plugins/two/plugin.json'), '{\n');
  await t.rejects(pack(), { code: 'invalid-params', message: /^plugins\/two: plugin\.json:2:1: / });
});
