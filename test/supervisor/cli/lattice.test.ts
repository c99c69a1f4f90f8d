import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { testFolder } from '../../support/test-folder.ts';
import { bin, runLattice } from './run-lattice.ts';

// Makes this Node say that it is an old one.
const pretend = "Object.defineProperty(process, 'versions', { value: Object.assign({}, process.versions, { node: '18.0.0' }) });";

t.test(
  'given an old Node and the project’s own beside it, when the command is run, then it is handed over, with its exit code',
  async (t) => {
    const folder = testFolder(t, { 'old.cjs': pretend });
    const run = (args: string[]) =>
      execa(process.execPath, ['--require', join(folder, 'old.cjs'), bin, ...args], {
        env: { LATTICE_DATA_DIR: folder },
        extendEnv: false,
        reject: false,
      });
    t.match(await run(['--version']), { exitCode: 0, stdout: /^\d+\.\d+\.\d+$/ });
    t.match(await run(['kv', 'buckets']), { exitCode: 3, stderr: /lattice serve/ });
    t.match(await run(['no-such-verb']), { exitCode: 2 });
  },
);

t.test('given an old Node and no other, when the command is run, then it says plainly what to install', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'lattice-')); // outside the project, where no folder above has a Node
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'old.cjs'), pretend);
  await writeFile(join(folder, 'package.json'), '{"type": "module"}');
  await copyFile(bin, join(folder, 'lattice.js'));
  const ran = await execa(process.execPath, ['--require', join(folder, 'old.cjs'), join(folder, 'lattice.js')], {
    env: {},
    extendEnv: false,
    reject: false,
  });
  t.match(ran, { exitCode: 1, stderr: /this is Node 18\.0\.0, but Node 26 or newer is needed.*npm ci/s });
  t.notMatch(ran.stderr, /\n\s+at /);
});

t.test('given the command is run through a link, as npm installs it, then it finds its own files', async (t) => {
  const folder = testFolder(t, { lattice: t.fixture('symlink', bin) });
  t.match(await execa(process.execPath, [join(folder, 'lattice'), '--version'], { env: {}, extendEnv: false, reject: false }), {
    exitCode: 0,
  });
});

t.test('given usage that is wrong, when the command is run, then exit 2; asked-for help is exit 0', async (t) => {
  const cases: [string[], number][] = [
    [['--help'], 0],
    [['plugins', '--help'], 0],
    [[], 2],
    [['plugins'], 2],
    [['no-such-verb'], 2],
    [['plugins', 'list', '--surprise'], 2],
    [['plugins', 'show'], 2],
    [['plugins', 'show', 'a', 'b'], 2],
    [['plugins', 'logs', 'a', '--last', 'many'], 2],
    [['token', 'create', '--name', 'x'], 2],
  ];
  await Promise.all(cases.map(async ([args, code]) => t.equal((await runLattice(args)).exitCode, code, args.join(' ') || 'nothing')));
  const { exitCode, stdout, stderr } = await runLattice(['plugins', 'show', '--json']);
  t.match(
    { exitCode, stderr, problem: JSON.parse(stdout) },
    { exitCode: 2, stderr: '', problem: { code: 'invalid-params', type: '/problems/invalid-params', detail: /missing required argument/ } },
  );
});

for (const args of [[], ['plugins'], ['audit'], ['token', 'create'], ['dev']]) {
  t.test(`given lattice ${args.join(' ')} --help, when it is printed, then no line is over 80 columns`, async (t) => {
    const { stdout } = await runLattice([...args, '--help']);
    t.same(
      stdout.split('\n').filter((line) => line.length > 80),
      [],
    );
    if (args[0] === 'audit') t.match(stdout, /--plugin <id>.*--verdict.*--since/s);
  });
}

t.test('given a misspelt option, when the command is refused, then the right one is on a line of its own', async (t) => {
  const { stderr } = await runLattice(['plugins', 'list', '--jsn']);
  t.equal(stderr.split('\n')[1], '(Did you mean --json?)');
});

t.test('given a reader that has seen enough, when more is printed, then the command ends in silence', async (t) => {
  const ran = await execa('sh', ['-c', `'${process.execPath}' '${bin}' --help | true`], { reject: false });
  t.match(ran, { exitCode: 0, stderr: '' });
});
