import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, chmodSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Test } from 'tap';
import { placeNode } from '../../supervisor/sandbox/place-node.ts';
import { isReachableByOthers } from '../../supervisor/sandbox/trusted-path.ts';
import type { LauncherOrder, LauncherSays } from './sandbox-launcher.ts';

const here = { node: process.execPath, launcher: fileURLToPath(new URL('./sandbox-launcher.ts', import.meta.url)) };
/** A user that is nobody's, outside the range that children get. */
export const plainUser = 61_190;
export const witnessFd = 40;

export type User = 'root' | 'plain user';
export const users: readonly User[] = ['root', 'plain user'];

/** Why a test cannot run here as this user; false when it can. */
export function whyNot(user: User, ...programs: string[]): string | false {
  for (const program of programs) {
    if (!exists(`/usr/bin/${program}`)) return `${program} is not installed`;
  }
  if (programs.includes('bwrap') && !bwrapWorks) return 'bwrap can build no sandbox on this host';
  const isRoot = process.getuid?.() === 0;
  if (user === 'root') return isRoot ? false : 'this run is not root’s';
  if (!isRoot) return false; // this run is a plain user's itself
  return forOthers === null ? 'no folder that another user can reach was found' : false;
}

/** What another user runs: this checkout's files where they can be reached, else copies in a folder that goes with this process. */
const forOthers = process.getuid?.() === 0 ? await (canReach(here) ? here : copyForOthers()) : here;

function canReach({ node, launcher }: typeof here): boolean {
  return isReachableByOthers(node) && isReachableByOthers(launcher, 'read');
}

async function copyForOthers(): Promise<typeof here | null> {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-launcher-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const copy = { node: await placeNode(process.execPath), launcher: join(folder, 'launcher.mjs') };
  // What only root needs stays behind: it loads a library of the checkout.
  await build({
    entryPoints: [here.launcher],
    outfile: copy.launcher,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['*/uids.ts'],
  });
  chmodSync(folder, 0o755);
  chmodSync(copy.launcher, 0o644);
  return canReach(copy) ? copy : null;
}

const lowered =
  process.getuid?.() === 0 ? ['/usr/bin/setpriv', '--reuid', String(plainUser), '--regid', String(plainUser), '--clear-groups', '--'] : [];

/** A container or a kernel setting may forbid what bwrap needs: then there is nothing here to test it with. */
const bwrapWorks = ((): boolean => {
  const [file = '', ...args] = [...lowered, '/usr/bin/bwrap', '--unshare-all', '--unshare-user', '--ro-bind', '/', '/', '/bin/true'];
  return spawnSync(file, args, { stdio: 'ignore', cwd: '/' }).status === 0;
})();

function exists(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

type Said<K extends LauncherSays['kind']> = Extract<LauncherSays, { kind: K }>;

/** A stand-in for the supervisor, started for one test and gone with it, whatever the test does. */
export function openSession(t: Test, user: User, order: LauncherOrder, env: Record<string, string> = {}) {
  const stdio = Array.from({ length: witnessFd + 1 }, (_, fd) => (fd <= 2 || fd === witnessFd ? ('pipe' as const) : ('ignore' as const)));
  const lower = user === 'plain user' ? lowered : [];
  const program = (user === 'plain user' && forOthers) || here;
  // A test runner may add to the environment of what it spawns: only what the test gives may be there.
  const only = ['/usr/bin/env', '-i', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const [file = '', ...args] = [...lower, ...only, program.node, program.launcher, 'launch'];
  const launcherProcess: ChildProcess = spawn(file, args, { stdio, cwd: '/' });
  const said: LauncherSays[] = [];
  const waiting: (() => void)[] = [];
  let stderr = '';
  launcherProcess.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  createInterface({ input: launcherProcess.stdout as Readable }).on('line', (line) => {
    said.push(JSON.parse(line));
    for (const wake of waiting.splice(0)) wake();
  });
  const witness = (launcherProcess.stdio as unknown as Readable[])[witnessFd] as Readable; // declared as five, but as long as what was asked for
  const released = new Promise<void>((resolve) => witness.once('end', resolve).once('error', () => resolve()));
  witness.resume();
  const closed = new Promise<void>((resolve) =>
    launcherProcess.once('close', () => {
      resolve();
      for (const wake of waiting.splice(0)) wake();
    }),
  );
  launcherProcess.stdin?.on('error', () => {});
  launcherProcess.stdin?.write(`${JSON.stringify(order)}\n`);
  t.teardown(async () => {
    launcherProcess.kill('SIGKILL');
    await closed;
  });

  async function hear<K extends LauncherSays['kind']>(kind: K): Promise<Said<K>> {
    for (;;) {
      const found = said.find((row): row is Said<K> => row.kind === kind);
      if (found) return found;
      if (launcherProcess.exitCode !== null || launcherProcess.signalCode !== null)
        throw new Error(`the launcher ended before it said ${kind}: ${stderr}`);
      await new Promise<void>((resolve) => void waiting.push(resolve));
    }
  }
  /** Waits for a line of the plugin, or of so many plugins. */
  async function heard(text: string, times = 1): Promise<void> {
    while (said.filter((row) => row.kind === 'line' && row.text === text).length < times) {
      if (said.some((row) => row.kind === 'exit')) throw new Error(`the plugin ended before it said ${text}`);
      await new Promise<void>((resolve) => void waiting.push(resolve));
    }
  }
  return {
    heard,
    pid: launcherProcess.pid ?? 0,
    said,
    hear,
    lines: () => said.filter((row): row is Said<'line'> => row.kind === 'line').map((row) => row.text),
    stderr: () =>
      said
        .filter((row): row is Said<'stderr'> => row.kind === 'stderr')
        .map((row) => row.text)
        .join('\n') + stderr,
    kill: (signal: NodeJS.Signals) => void launcherProcess.kill(signal),
    closeInput: () => void launcherProcess.stdin?.end(),
    /** When nobody holds the witness descriptor any more: the launcher, the sandbox, the plugin and what it started are gone. */
    released,
    closed,
  };
}
