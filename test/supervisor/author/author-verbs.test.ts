import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { testFolder } from '../../support/test-folder.ts';
import { runLattice, runOnTerminal } from '../cli/run-lattice.ts';

t.test('given nothing, when a plugin is made and tested, then its test passes; with a fault put in, it fails and says where', async (t) => {
  const folder = join(testFolder(t), 'hello');
  const made = await runLattice(['new', folder, '--language', 'ts', '--id', 'example.hello-you', '--json']);
  t.match(JSON.parse(made.stdout), {
    id: 'example.hello-you',
    files: ['.gitignore', 'README.md', 'package.json', 'plugin.json', 'plugin.test.ts'],
  });
  const report = join(folder, 'report.xml');
  const passed = await runLattice(['test', folder, '--junit', report]);
  t.match(passed, { exitCode: 0, stdout: /it greets.*it refuses what is no name/s });
  t.match(readFileSync(report, 'utf8'), /<testcase name="it greets"/);

  t.match(await runLattice(['test', folder, '--grep', 'no such test']), { exitCode: 0 }, 'what was opened for no test does not hold it up');

  const source = readFileSync(join(folder, 'plugin.ts'), 'utf8');
  writeFileSync(join(folder, 'plugin.ts'), source.replace('Hello, ', 'Good day, '));
  t.match(await runLattice(['test', folder, '--grep', 'it greets']), { exitCode: 5, stdout: /Good day, Ada/, stderr: /failed/ });
});

t.test('given wrong arguments, when a plugin is to be made or tested, then each says what is wrong, and nothing is written', async (t) => {
  const folder = testFolder(t, { full: { 'a.txt': 'mine' }, empty: {} });
  const refused: [args: string[], exitCode: number, why: RegExp][] = [
    [['new', join(folder, 'full')], 7, /not empty/],
    [['new', join(folder, 'x'), '--language', 'cobol'], 2, /cobol/],
    [['new', join(folder, 'x'), '--type', 'wasm'], 2, /not run by this version/],
    [['new', join(folder, 'x'), '--capability', 'all'], 2, /no capability.*the capabilities are/s],
    [['test', join(folder, 'empty')], 1, /no test/],
  ];
  for (const [args, exitCode, why] of refused) t.match(await runLattice(args), { exitCode, stdout: '', stderr: why }, args.join(' '));
  t.notOk(existsSync(join(folder, 'x')));
});

t.test(
  'given a terminal, when a plugin is made, then what was not given is asked, with what is taken for an empty answer',
  { skip: !existsSync('/usr/bin/script') && 'script is not installed' },
  async (t) => {
    const folder = join(testFolder(t), 'asked');
    const made = await runOnTerminal(['new', folder], { input: 'js\nacme.asked\n\nlog:write\n' });
    t.match(made, { exitCode: 0, stdout: /language \(ts, js, c, go\) \[ts\].*id \[example\.asked\].*name \[Asked\].*capabilities/s });
    const manifest = JSON.parse(readFileSync(join(folder, 'plugin.json'), 'utf8'));
    t.match(manifest, { id: 'acme.asked', name: 'Asked', capabilities: ['log:write'] });
    t.ok(existsSync(join(folder, 'plugin.js')));
  },
);
