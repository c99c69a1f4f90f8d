import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { runVerb } from '../../support/run-cli.ts';
import { startApp } from '../http/start-app.ts';

export const projectRoot = join(import.meta.dirname, '../../..');
export const bin = join(projectRoot, 'supervisor/cli/lattice.js');

export type Ran = { exitCode: number | undefined; stdout: string; stderr: string };
type Options = { environment?: Record<string, string>; input?: string; node?: string };

/** Runs the real command as a process of its own, with an environment of its own. */
export async function runLattice(
  args: readonly string[],
  { environment = {}, input = '', node = process.execPath }: Options = {},
): Promise<Ran> {
  const child = await execa(node, [bin, ...args], { env: environment, extendEnv: false, input, reject: false, stripFinalNewline: false });
  return { exitCode: child.exitCode, stdout: child.stdout, stderr: child.stderr };
}

/** The same on a terminal; what it shows is `stdout`. */
export async function runOnTerminal(args: readonly string[], { environment = {}, input = '' }: Options = {}): Promise<Ran> {
  const command = [process.execPath, bin, ...args].map((word) => `'${word}'`).join(' ');
  const child = await execa('script', ['-qec', command, '/dev/null'], {
    env: { PATH: process.env.PATH ?? '', TERM: 'xterm', SHELL: '/bin/sh', ...environment },
    extendEnv: false,
    input,
    reject: false,
  });
  return { exitCode: child.exitCode, stdout: child.stdout, stderr: child.stderr };
}

/** A service in this process and a data directory that leads the command to it. */
export async function startWithCli(t: Test) {
  const app = await startApp(t);
  await writeFile(join(app.dataDir, 'address'), `${app.url}\n`);
  await writeFile(join(app.dataDir, 'admin.token'), `${app.admin.token}\n`, { mode: 0o600 });
  const environment = { LATTICE_DATA_DIR: app.dataDir };
  return {
    ...app,
    environment,
    lattice: (args: readonly string[], input = '', more: Record<string, string> = {}) =>
      runLattice(args, { environment: { ...environment, ...more }, input }),
    /** The same in this process: no terminal, and far faster. */
    verb: (args: readonly string[]) => runVerb(args, environment),
    onTerminal: (args: readonly string[], input = '', more: Record<string, string> = {}) =>
      runOnTerminal(args, { environment: { ...environment, ...more }, input }),
    async json(args: readonly string[]) {
      const ran = await runLattice([...args, '--json'], { environment });
      return { exitCode: ran.exitCode, value: JSON.parse(ran.stdout) as unknown };
    },
  };
}
