import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { HostError } from '../../protocol/errors.ts';

type Recipe = {
  mark: string;
  sources: RegExp;
  command: string;
  args(files: readonly string[]): string[];
  env: Record<string, string>;
  install: string;
};

/** How an executable is made that needs nothing of the host's file system. Other languages bring their own build, and put `plugin` there. */
const recipes: readonly Recipe[] = [
  {
    mark: 'plugin.c',
    sources: /\.[ch]$/,
    command: 'cc',
    args: (files) => ['-static', '-O2', '-Wall', '-Wextra', '-o', 'plugin', ...files.filter((file) => file.endsWith('.c'))],
    env: {},
    install: 'install a C compiler with a static C library (Debian: apt-get install gcc libc6-dev)',
  },
  {
    mark: 'go.mod',
    sources: /\.go$|^go\.(mod|sum)$/,
    command: 'go',
    args: () => ['build', '-trimpath', '-ldflags=-s', '-o', 'plugin', '.'],
    env: { CGO_ENABLED: '0' },
    install: 'install Go (Debian: apt-get install golang-go)',
  },
];

/** Whether this file of the folder is made from the sources beside it, and so no source itself. */
export const isBuilt = (folder: string, file: string): boolean =>
  file === 'plugin' && recipes.some(({ mark }) => existsSync(join(folder, mark)));

const mostFaultText = 4000;

/** Makes the executable `plugin` of a native plugin's folder where it is missing or older than a source. Throws what the compiler says. */
export async function buildNative(folder: string): Promise<void> {
  const recipe = recipes.find(({ mark }) => existsSync(join(folder, mark)));
  if (!recipe) return;
  const files = readdirSync(folder).filter((file) => recipe.sources.test(file));
  const changed = (file: string): number => statSync(join(folder, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (changed('plugin') > Math.max(...files.map(changed))) return;
  // The author's own compiler on the author's own sources: it needs the environment that it is used to.
  const built = await execa(recipe.command, recipe.args(files), { cwd: folder, env: recipe.env, reject: false, all: true });
  if (built.code === 'ENOENT')
    throw new HostError('invalid-params', `the plugin does not build: there is no ${recipe.command}`, {
      rule: 'no-compiler',
      hint: recipe.install,
    });
  if (built.failed)
    throw new HostError('invalid-params', `the plugin does not build:\n${built.all.slice(0, mostFaultText)}`, {
      rule: 'does-not-build',
      hint: 'mend what the compiler says',
    });
}
