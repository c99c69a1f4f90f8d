import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { pluginFolder } from '../../support/plugin-folder.ts';
import { runVerb } from '../../support/run-cli.ts';
import { testFolder } from '../../support/test-folder.ts';
import { bin } from './run-lattice.ts';

const code = '{ services: { tool: { say: (word) => word } } }';

t.test('given a source that does not build, when it is called, then the lines of the compiler stay lines', async (t) => {
  const folder = pluginFolder(t, { code });
  writeFileSync(join(folder, 'plugin.ts'), 'const a = 1;\nconst b = ;\nexport default {};\n');

  const { exitCode, stderr } = await runVerb(['call', folder, 'tool.say']);

  t.equal(exitCode, 2);
  t.match(stderr, /does not build: .*\n +plugin\.ts:2:\d+: ERROR: .*\n/);
  t.match(stderr, 'hint: mend what the compiler says');
});

t.test('given a manifest that is no JSON, when it is called, then the fault names line and column', async (t) => {
  const folder = pluginFolder(t, { code });
  writeFileSync(join(folder, 'plugin.json'), '{\n  "schema": "lattice.plugin.manifest.v3",\n  "id" "example.one"\n}\n');

  const { exitCode, stderr } = await runVerb(['call', folder, 'tool.say']);

  t.equal(exitCode, 2);
  t.match(stderr, "plugin.json:3:8: the text is not JSON: expected ':' after property name");
});

t.test('given a first build that fails, when dev runs once, then nobody is told that something runs', async (t) => {
  const folder = pluginFolder(t, { code });
  writeFileSync(join(folder, 'plugin.ts'), 'const b = ;\n');

  const { exitCode, stdout } = await runVerb(['dev', folder, '--once']);

  t.equal(exitCode, 2);
  t.match(stdout, /build +failed; nothing runs yet/);
});

t.test('given a test that fails, when lattice test ends, then it says so, and not that the tool is at fault', async (t) => {
  const folder = testFolder(t, { 'one.test.js': "import { test } from 'node:test';\ntest('no', () => { throw new Error('boom'); });\n" });

  const { exitCode, stderr } = await runVerb(['test', folder]);

  t.equal(exitCode, 5);
  t.match(stderr, 'tests failed');
  t.notMatch(stderr, 'nternal');
});

t.test('given a plugin that does not build, when it is tested, then the compiler’s message is all, and it is told once', async (t) => {
  const test = "import { createTestHost } from 'lattice-plugin-supervisor/testing';\nawait createTestHost(import.meta.dirname);\n";
  const folder = pluginFolder(t, { code, files: { 'one.test.js': test, 'two.test.js': test } });
  writeFileSync(join(folder, 'plugin.js'), 'const a = 1;\nconst b = ;\n');

  const { exitCode, stdout, stderr } = await runVerb(['test', folder]);

  t.same([exitCode, stdout], [2, '']);
  t.match(stderr, /^lattice test failed: .*does not build: .*\n +plugin\.js:2:10: ERROR: Unexpected ";"\n/);
  t.equal(stderr.split('ERROR').length, 2);
  t.notMatch(stderr, /\n +at |file:\/\/|\.ts:/);

  writeFileSync(join(folder, 'plugin.json'), '{');
  t.match(await runVerb(['test', folder]), { exitCode: 2, stdout: '', stderr: /plugin\.json:1:\d+: the text is not JSON/ });
});

for (const [form, manifest] of [
  ['v1', { id: 'acme-tool', name: 'Tool' }],
  ['v2', { schema: 'lattice.plugin.manifest.v2', id: 'acme-tool' }],
] as const)
  t.test(`given a bundle of the public form ${form}, when an author’s verb gets it, then it says where such a plugin runs`, async (t) => {
    const folder = testFolder(t, { 'manifest.json': JSON.stringify(manifest), artifact: 'x' });
    for (const args of [
      ['call', folder, 'tool.say'],
      ['dev', folder, '--once'],
      ['conformance', folder],
    ])
      t.match(
        await runVerb(args),
        { exitCode: 5, stderr: new RegExp(`the form ${form} of the public server.*hint: .*LATTICE_PLUGIN_DIR.*STDIO-JSON-V1`, 's') },
        args.join(' '),
      );
  });

t.test('given any verb, when the command starts, then it loads no schemas, no YAML and no logger', (t) => {
  const watch = `import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { process.stderr.write(url + '\\n'); return next(url, context); } });`;
  const preload = `data:text/javascript,${encodeURIComponent(watch)}`;

  const ran = spawnSync('/usr/bin/env', ['-i', process.execPath, '--import', preload, bin, '--version'], { encoding: 'utf8' });

  t.equal(ran.status, 0);
  t.match(ran.stderr, 'node_modules/commander/');
  t.notMatch(ran.stderr, /node_modules\/(zod|yaml|pino)\//);
  t.end();
});
