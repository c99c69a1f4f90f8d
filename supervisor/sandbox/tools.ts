import { execFile } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { readInterpreter } from './elf-interpreter.ts';
import { placeNode } from './place-node.ts';
import type { Arch } from './syscalls.ts';
import { isReachableByOthers, isTrusted } from './trusted-path.ts';

/** A file of the host and the path at which a loader looks for it. */
export type Library = { source: string; path: string };
export type NodeRuntime = {
  path: string;
  libraries: readonly Library[] /** Why no child could run it; null when one can. */;
  problem: string | null;
};
export type Tools = {
  bwrap: string | null;
  prlimit: string | null;
  setpriv: string | null;
  shell: string | null;
  env: string | null;
  prlimitLibraries: readonly Library[];
  shellLibraries: readonly Library[];
  node: NodeRuntime;
  arch: Arch | null;
};
type Facts = {
  uid: number;
  nodePath: string;
  sharedObjects: readonly string[];
  arch: string;
  folders?: readonly string[];
  runtimeRoot?: string;
};

// Fixed places: PATH is a wish of whoever started the service, and these programs see every child's bytes.
const toolFolders = ['/usr/bin', '/bin', '/usr/local/bin'] as const;
const runFile = promisify(execFile);

/** Looks for everything that a launch needs. */
export async function findTools(facts: Facts): Promise<Tools> {
  const find = (name: string) => (facts.folders ?? toolFolders).map((folder) => join(folder, name)).find(isTrusted) ?? null;
  const [prlimit, shell] = [find('prlimit'), find('sh')];
  return {
    bwrap: find('bwrap'),
    prlimit,
    setpriv: find('setpriv'),
    shell,
    env: find('env'),
    prlimitLibraries: prlimit === null ? [] : await traceLibraries(prlimit),
    shellLibraries: shell === null ? [] : await traceLibraries(shell),
    node: await findNode(facts),
    arch: facts.arch === 'x64' || facts.arch === 'arm64' ? facts.arch : null,
  };
}

/** The facts of this very process: a child runs the Node that runs the supervisor. */
export function describeOwnNode(): Facts {
  const report = process.report as typeof process.report & { excludeNetwork: boolean }; // not yet in the declarations
  report.excludeNetwork = true; // otherwise every interface is looked up by name, which can take seconds
  const { sharedObjects } = report.getReport() as unknown as { sharedObjects: string[] }; // declared as a bare object
  return { uid: process.getuid?.() ?? -1, nodePath: process.execPath, sharedObjects, arch: process.arch };
}

async function findNode({ uid, nodePath, sharedObjects, runtimeRoot }: Facts): Promise<NodeRuntime> {
  if (!existsSync(nodePath))
    return { path: nodePath, libraries: [], problem: 'the Node that runs the service was moved or removed since it started' };
  const path = realpathSync(nodePath);
  const interpreter = await readInterpreter(path);
  // The supervisor has loaded addons too; a child loads none.
  const wanted = sharedObjects.filter((object) => isAbsolute(object) && !object.endsWith('.node'));
  const libraries = asLibraries(interpreter === null ? wanted : [...wanted, interpreter]);
  const hidden = libraries.find((library) => !isReachableByOthers(library.source, 'read'));
  if (uid !== 0) return { path, libraries, problem: null };
  if (hidden !== undefined) return { path, libraries, problem: 'a library that Node needs cannot be read by other users' };
  if (isReachableByOthers(path)) return { path, libraries, problem: null };
  try {
    return { path: await placeNode(path, runtimeRoot), libraries, problem: null };
  } catch {
    return { path, libraries, problem: 'Node lies where other users cannot reach it, and it could not be copied to a folder under /run' };
  }
}

const asLibraries = (paths: readonly string[]): Library[] => [...new Set(paths)].map((path) => ({ source: realpathSync(path), path }));

/** Asks the loader what a program of the system would load, without running it. Only for files that root alone can change. */
async function traceLibraries(file: string): Promise<Library[]> {
  const asked = runFile(file, [], { env: { LD_TRACE_LOADED_OBJECTS: '1' }, cwd: '/', timeout: 5000 });
  const { stdout } = await asked.catch(() => ({ stdout: '' })); // another kind of loader: the probe will say that the cage cannot be built
  const paths = [...stdout.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)].map((match) => match[1] ?? '');
  return asLibraries(paths.filter((path) => path !== ''));
}
