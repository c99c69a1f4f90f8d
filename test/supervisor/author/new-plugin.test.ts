import { execFile } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { isHostMethod } from '../../../protocol/host-methods.ts';
import { fillTemplate } from '../../../supervisor/author/fill-template.ts';
import {
  type Language,
  languages,
  type NewPlugin,
  renderPlugin,
  suggestId,
  suggestName,
  writePlugin,
} from '../../../supervisor/author/new-plugin.ts';
import { buildPlugin } from '../../../supervisor/publish/pack-plugin.ts';
import { projectRoot } from '../../docs/markdown.ts';
import { whyNot } from '../../support/sandbox-session.ts';
import { testFolder } from '../../support/test-folder.ts';

const run = promisify(execFile);
const capabilitySets = [
  [],
  ['kv:read', 'kv:write', 'log:write'],
  ['log:write'],
  ['kv:read', 'kv:write'],
  ['http:egress', 'kv:read', 'notify:send'],
];
const describe = (language: Language, more: Partial<NewPlugin> = {}): NewPlugin => ({
  language,
  id: 'example.try-out',
  name: 'Try out',
  publisher: 'dev.local',
  capabilities: ['kv:read', 'kv:write', 'log:write'],
  egress: [],
  ...more,
});

t.test('given a template, when it is filled, then marks choose, nest, and take their own lines with them', async (t) => {
  const template = 'a\n{{#yes}}\nb{{#no}}!{{/no}}\n{{/yes}}\n{{^yes}}\nc\n{{/yes}}\n{{name}}\n';
  t.equal(fillTemplate(template, { yes: true, no: false, name: 'd' }), 'a\nb\nd\n');
  t.throws(() => fillTemplate('{{other}}', {}), /other/);
});

for (const [folder, id, name] of [
  ['my-plugin', 'example.my-plugin', 'My plugin'],
  ['My Plugin!', 'example.my-plugin', 'My plugin'],
  ['acme.weather', 'acme.weather', 'Weather'],
  ['...', 'example.plugin', 'Plugin'],
] as const)
  t.test(`given the folder ${folder}, when an id and a name are suggested, then ${id} and ${name}`, async (t) => {
    t.same([suggestId(`/tmp/${folder}`), suggestName(suggestId(folder))], [id, name]);
  });

for (const [what, more, rule] of [
  ['an id without a dot', { id: 'hello' }, /dot/],
  ['an id with capitals', { id: 'Example.Hello' }, /a-z/],
  ['a capability that is none', { capabilities: ['root:all'] }, /no capability/],
  ['a name of two lines', { name: 'a\nb' }, /control/],
  ['egress without its capability', { egress: ['api.example.com:443'] }, /http:egress/],
  ['a publisher that is none', { publisher: 'Me' }, /publisher/],
] as const)
  t.test(`given ${what}, when a plugin is to be written, then it is refused, and nothing is there`, async (t) => {
    const folder = join(testFolder(t), 'new');
    t.throws(() => writePlugin(folder, describe('ts', more)), { code: 'invalid-params', message: rule });
    t.notOk(lstatSync(folder, { throwIfNoEntry: false }));
  });

t.test(
  'given a folder that holds something, or a file, when a plugin is to be written there, then it is refused and stays as it was',
  async (t) => {
    const folder = testFolder(t, { full: { 'notes.txt': 'mine' }, file: 'mine' });
    t.throws(() => writePlugin(join(folder, 'full'), describe('js')), { code: 'conflict', message: /not empty/ });
    t.throws(() => writePlugin(join(folder, 'file'), describe('js')), { code: 'conflict', message: /not a folder/ });
    t.same(readdirSync(join(folder, 'full')), ['notes.txt']);
    mkdirSync(join(folder, 'empty'));
    t.ok(writePlugin(join(folder, 'empty'), describe('js')).includes('plugin.js'));
  },
);

for (const language of languages)
  t.test(
    `given each set of capabilities, when a plugin in ${language} is rendered, then no mark is left and it asks only for what it has`,
    async (t) => {
      for (const capabilities of capabilitySets) {
        const files = renderPlugin(
          describe(language, { capabilities, egress: capabilities.includes('http:egress') ? ['api.example.com:443'] : [] }),
          '*',
        );
        for (const [name, text] of files) t.notMatch(text, /\{\{/, name);
        const code = [...files].filter(([name]) => /^(plugin\.(ts|js|c|go))$/.test(name)).map(([, text]) => text);
        const asked = [...code.join('\n').matchAll(/\b(kv|log|http|notify)\.(\w+)\b/g)].map(([call]) => call).filter(isHostMethod);
        if (!capabilities.includes('log:write')) t.notOk(asked.includes('log.write'));
        if (!capabilities.includes('kv:write')) t.notOk(asked.includes('kv.put'));
      }
    },
  );

t.test('given new plugins in TypeScript, when they are type-checked as their author would, then there is no fault', async (t) => {
  const folder = testFolder(t);
  for (const [at, capabilities] of capabilitySets.entries())
    writePlugin(
      join(folder, `p${at}`),
      describe('ts', { capabilities, egress: capabilities.includes('http:egress') ? ['api.example.com:443'] : [] }),
    );
  const references = capabilitySets.map((_set, at) => join(folder, `p${at}`, '*.ts'));
  const [{ compilerOptions }] = [JSON.parse(readFileSync(join(folder, 'p0', 'tsconfig.json'), 'utf8'))];
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: references }));
  const tsc = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc');
  const said = await run('/usr/bin/env', ['-i', process.execPath, tsc, '-p', folder], { cwd: folder }).catch(
    (fault: { stdout: string }) => fault,
  );
  t.equal(said.stdout, '');
});

for (const language of ['ts', 'js'] as const)
  t.test(`given a new plugin in ${language}, when it is packed, then its bytes do not tell where the package lies`, async (t) => {
    const folder = join(testFolder(t), 'p');
    writePlugin(folder, describe(language));
    const { artifact } = await buildPlugin(folder);
    t.match(artifact.toString(), /ConflictError/);
    t.notMatch(artifact.toString(), /\.\.\/|runner-child/);
    t.ok(artifact.length < 8000, `${artifact.length} bytes`);
  });

t.test(
  'given a new plugin in C with each set of capabilities, when it is compiled, then without a warning',
  { skip: whyNot('plain user', 'gcc') },
  async (t) => {
    const folder = testFolder(t);
    for (const [at, capabilities] of capabilitySets.entries()) {
      const source = join(folder, `p${at}`);
      writePlugin(source, describe('c', { capabilities, egress: capabilities.includes('http:egress') ? ['api.example.com:443'] : [] }));
      await run('gcc', ['-static', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', 'plugin.c'], { cwd: source });
    }
  },
);

t.test(
  'given native sources with a fault, when they are packed, then the compiler’s word is the error',
  { skip: whyNot('plain user', 'gcc') },
  async (t) => {
    const folder = join(testFolder(t), 'p');
    writePlugin(folder, describe('c'));
    writeFileSync(join(folder, 'plugin.c'), 'int main(void) { return nothing; }\n');
    await t.rejects(buildPlugin(folder), { code: 'invalid-params', message: /nothing/, details: { rule: 'does-not-build' } });
  },
);
