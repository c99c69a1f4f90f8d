import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, statSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { Cli } from './cli.ts';

const testFiles = '**/*.test.{ts,mts,js,mjs}';
const own = (name: string): string => new URL(`../author/${name}${extname(import.meta.filename)}`, import.meta.url).href;
const hook = own('resolve-own');
const lines = own('test-reporter');

export function addTestVerb(program: Command, cli: Cli): void {
  program
    .command('test [folder]')
    .description('run the tests of a plugin, its files *.test.ts and *.test.js, with Node’s own test runner')
    .option('--grep <pattern>', 'only tests whose name matches this regular expression')
    .option('--junit <file>', 'also write a report that CI systems read')
    .action((folder: string | undefined, options: Options) => runTests(cli, resolve(folder ?? '.'), options));
}

type Options = { grep?: string; junit?: string };

/** What does not build is told once, as its compiler says it; each test would tell it with a stack of ours. */
async function buildTested(folder: string, files: readonly string[]): Promise<void> {
  const homes = new Set(files.map((file) => dirname(join(folder, file))).filter((home) => existsSync(join(home, 'plugin.json'))));
  if (homes.size === 0) return;
  const { buildPlugin } = await import('../publish/pack-plugin.ts');
  for (const home of homes) await buildPlugin(home);
}

async function runTests(cli: Cli, folder: string, { grep, junit }: Options): Promise<void> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new HostError('not-found', `${folder} is not a folder`, { hint: 'name the folder of a plugin' });
  const files = globSync(testFiles, { cwd: folder, exclude: (name) => name.split('/').includes('node_modules') }).sort();
  if (files.length === 0)
    throw new HostError('not-found', `there is no test in ${folder}`, { hint: 'write plugin.test.ts; `lattice new` shows one' });
  await buildTested(folder, files);
  if (cli.json) cli.beginLines();
  const reporters = [`--test-reporter=${cli.json ? lines : 'spec'}`, '--test-reporter-destination=stdout'];
  if (junit !== undefined) reporters.push('--test-reporter=junit', `--test-reporter-destination=${resolve(junit)}`);
  const only = grep === undefined ? [] : [`--test-name-pattern=${grep}`];
  const { NODE_TEST_CONTEXT: _outer, ...env } = cli.io.environment; // within another test run, this is a run of its own
  const args = ['--disable-warning=ExperimentalWarning', '--import', hook, '--test', '--test-force-exit', ...reporters, ...only, ...files];
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(cli.io.stdout, { end: false });
  child.stderr.pipe(cli.io.stderr, { end: false });
  const interrupted = cli.io.onInterrupt();
  interrupted.addEventListener('abort', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'close')) as [number | null];
  if (interrupted.aborted) throw new HostError('cancelled', 'interrupted');
  if (code !== 0)
    throw new HostError('verification-failed', `tests failed in ${folder}`, { hint: 'what failed, and where, is told above' });
}
