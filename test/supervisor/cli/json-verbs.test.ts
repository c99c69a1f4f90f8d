import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { manifestText } from '../../support/plugin-folder.ts';
import { runVerb } from '../../support/run-cli.ts';
import { testFolder } from '../../support/test-folder.ts';

const code = `{ services: { tool: { say: (word) => { console.log('said'); process.stdout.write('stray\\n'); return word; } } } }`;
const test = `import { test } from 'node:test';
import { createTestHost } from 'lattice-plugin-supervisor/testing';
console.log('printed');
test('it says', async () => { await using host = await createTestHost(import.meta.dirname); if ((await host.call('tool.say', 7)) !== 7) throw new Error('no'); });
test('it is left out', { skip: true }, () => {});
test('it fails', () => { throw new Error('boom'); });
`;
const other = testFolder(t, {
  empty: {},
  'trust.json': '{"trusted_publishers": {}}',
  plugin: { 'plugin.json': manifestText(code), 'plugin.js': `export default ${code};\n`, 'plugin.test.js': test },
});
const folder = join(other, 'plugin');
const at = (name: string): string => join(folder, name);
writeFileSync(at('broken.ndjson'), 'no record\n');

/** In an order in which each finds what it needs. `lines`: each line of its own, else one value. */
const verbs: [args: string[], exitCode: number, form: 'one' | 'lines'][] = [
  [['new', join(other, 'made'), '--language', 'js'], 0, 'one'],
  [['new', join(other, 'made')], 7, 'one'],
  [['dev', folder, '--once', '--call', 'tool.say "a"', '--call', 'tool.none', '--record', at('s.ndjson')], 1, 'lines'],
  [['dev', folder, '--fault', 'nonsense'], 2, 'one'],
  [['dev', join(other, 'empty'), '--once'], 1, 'lines'],
  [['call', folder, 'tool.say', '{"a":1}'], 0, 'one'],
  [['call', folder, 'tool.say', '{'], 2, 'one'],
  [['call', folder, 'tool.none'], 1, 'one'],
  [['test', folder], 5, 'lines'],
  [['test', join(other, 'empty')], 1, 'one'],
  [['replay', at('s.ndjson'), folder, '--loose'], 0, 'one'],
  [['replay', at('broken.ndjson'), folder], 2, 'one'],
  [['conformance', folder, '--only', 'ping'], 0, 'one'],
  [['conformance', folder, '--only', 'nothing'], 2, 'one'],
  [['protocol', '--openrpc'], 0, 'one'],
  [['protocol', '--schema'], 0, 'one'],
  [['protocol'], 2, 'one'],
  [['keygen', at('a.key')], 0, 'one'],
  [['keygen', at('a.key')], 7, 'one'],
  [['pack', folder, '--out', at('bundle')], 0, 'one'],
  [['pack', join(other, 'empty')], 2, 'one'],
  [['sign', at('bundle'), '--key', at('a.key')], 0, 'one'],
  [['sign', at('bundle'), '--key', at('none.key')], 2, 'one'],
  [['verify', at('bundle'), '--trust', join(other, 'trust.json')], 5, 'one'],
  [['verify', at('bundle')], 5, 'one'],
  [['inspect', at('bundle')], 0, 'one'],
  [['inspect', join(other, 'empty')], 5, 'one'],
  [['caps'], 0, 'one'],
  [['inspect'], 2, 'one'],
  [['nosuch'], 2, 'one'],
];
for (const [args, exitCode, form] of verbs)
  t.test(
    `given ${args[0]} ${args.slice(1).join(' ').replaceAll(other, '')}, when JSON is asked for, then stdout has nothing else`,
    async (t) => {
      const ran = await runVerb([...args, '--json'], { PATH: '/usr/bin:/bin' });
      t.equal(ran.exitCode, exitCode, ran.stdout + ran.stderr);
      const texts = form === 'one' ? [ran.stdout] : ran.stdout.trimEnd().split('\n');
      for (const text of texts) t.type(JSON.parse(text), 'object', text.slice(0, 200));
      if (args[0] === 'test' && form === 'lines')
        checkTests(
          t,
          texts.map((text) => JSON.parse(text)),
        );
      if (exitCode !== 0) t.match(JSON.parse(texts.at(-1) ?? ''), { type: /^\/problems\//, code: /./, detail: /./ });
    },
  );

/** Each test has its verdict, what it printed is told, and a sum ends it. */
function checkTests(t: Test, lines: { kind?: string; stream?: string; text?: string }[]): void {
  t.match(
    lines.filter(({ kind }) => kind === 'test'),
    [
      { ok: true, name: 'it says', skipped: false },
      { ok: true, name: 'it is left out', skipped: true },
      { ok: false, name: 'it fails', error: 'boom', file: /plugin\.test\.js$/, line: 6 },
    ],
  );
  t.ok(lines.some(({ kind, stream, text }) => kind === 'output' && stream === 'stdout' && text?.includes('printed')));
  t.match(lines.at(-2), { kind: 'summary', ok: false, tests: 3, passed: 1, failed: 1, skipped: 1 });
}
