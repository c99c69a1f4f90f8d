import { HostError } from '../../protocol/errors.ts';
import type { Resources } from '../../protocol/manifest.ts';
import { bootText, encodeArtifact, encodeRunner, payloadFd } from './boot.ts';
import { type BwrapFds, listBinds, listCage } from './bwrap-arguments.ts';
import { isAtLeast, type Level } from './levels.ts';
import { type Limits, planLimits } from './limits.ts';
import { buildSeccompFilter } from './seccomp.ts';
import type { Tools } from './tools.ts';

/** What runs: a JS artifact under our runner, which may be delivered when the child is there, or a native executable. */
export type Program =
  | { engine: 'node'; runner: Buffer; artifact: Buffer | 'later'; artifactSha256?: string; title?: string }
  | { engine: 'native'; artifact: Buffer; action?: ActionFiles };
/** A native program that runs for one action: where in the cage it lies, what lies beside it, and the pipe on which it reads answers. */
export type ActionFiles = { entryPath: string; files: readonly CageFile[]; responses: number };
export type CageFile = { path: string; bytes: Buffer; isExecutable: boolean };
/**
 * A descriptor of the child beside stdin, stdout and stderr: bytes to write to it and close (those that are held back only when the cage is
 * seen to end with its monitor; `isOpen` where an artifact follows), the monitor's reports to read from it, or one of this process that is
 * handed over.
 */
export type ExtraDescriptor =
  | { fd: number; kind: 'data' | 'held back'; bytes: Buffer; isOpen?: true }
  | { fd: number; kind: 'status' }
  | { fd: number; kind: 'handed over'; source: number };
/** What the supervisor is at this moment. */
export type Launcher = { uid: number; pid: number; openDescriptors: readonly number[] };

export type LaunchRequest = {
  level: Level;
  program: Program;
  tools: Tools;
  resources: Resources;
  /** As root: the unprivileged uid that this child alone has; null when the supervisor is not root. */
  uid: number | null;
  launcher: Launcher;
  /** False where the probe found that the kernel lets nobody close the door to further user namespaces; seccomp still does. */
  disableUserns?: boolean;
  /** At isolated+cgroup: the `cgroup.procs` file of the plugin's leaf, joined before anything of the plugin exists. */
  cgroupProcs?: string;
  /** Off only in the probe, which asks whether the kernel's layers hold alone. */
  permission?: boolean;
};

export type LaunchPlan = {
  level: Level;
  file: string;
  args: readonly string[];
  stdio: readonly ExtraDescriptor[];
  /** What ends the open one among them; null for a child that gets its artifact later. */
  delivery: Buffer | null;
  /** Inherited descriptors to cover with /dev/null. */
  plug: readonly number[];
  limitsNotEnforced: Limits['notEnforced'];
};

// The last number is the highest that every shell can name; the files of a bundle come after it.
const fds = {
  payload: payloadFd,
  args: 4,
  seccomp: 5,
  status: 6,
  artifact: 7,
  watch: 8,
  responses: 9,
  firstFile: 10,
} as const satisfies BwrapFds & Record<string, number>;
/** Where the plugin finds the answers to its host calls: the number that the public server uses. */
const responsesInside = 3;
const go = Buffer.from('go\n');
/** Beside the entry: each is a descriptor while the cage is built. */
export const cageFilesMost = 64;
/** What every JS child has room for, so that one that gets its artifact later has the limits of any other. */
export const laterArtifactMost = 1024 * 1024;

/** Everything a spawn needs, decided: nothing here starts a process. Throws `sandbox-unavailable` rather than plan less than was asked. */
export function planLaunch(request: LaunchRequest): LaunchPlan {
  const { level, program, uid, launcher } = request;
  if (request.tools.node.problem !== null && program.engine === 'node')
    throw refuse(request.tools.node.problem, 'install Node in a folder that every user can reach');
  if (launcher.uid === 0 ? !uid : uid !== null)
    throw refuse('as root a child needs a uid of its own, otherwise it keeps the service’s', 'this is a fault of the service; report it');
  if (program.engine === 'native' && !isAtLeast(level, 'isolated'))
    throw refuse('native code runs only at isolated', 'make sandbox level isolated available');

  const limits = planLimits({
    level,
    engine: program.engine,
    resources: request.resources,
    ownUid: uid !== null,
    payloadBytes: Math.max(laterArtifactMost, program.artifact === 'later' ? 0 : program.artifact.length),
  });
  const caged = isAtLeast(level, 'isolated');
  const command = [...joinCgroup(request), ...lowerSelf(request), ...(caged ? planCaged(request, limits) : planBare(request, limits))];
  const [file = '', ...args] = command;
  const used: readonly number[] = caged
    ? [fds.payload, fds.args, fds.seccomp, fds.status, fds.watch, ...listProgramFds(program)]
    : [fds.payload];
  const plug = launcher.openDescriptors.filter((fd) => !used.includes(fd));
  const stdio = caged ? describeCaged(request, limits, plug) : [describePayload(request, plug)];
  return { level, file, args, stdio, delivery: encodeDelivery(program), plug, limitsNotEnforced: limits.notEnforced };
}

const refuse = (message: string, hint: string): HostError => new HostError('sandbox-unavailable', message, { hint });

function need(tools: Tools, name: 'bwrap' | 'prlimit' | 'setpriv' | 'shell' | 'env', packageName: string): string {
  return tools[name] ?? raise(refuse(`${name} was not found in the system’s folders, owned by root`, `apt-get install ${packageName}`));
}
const raise = (error: HostError): never => {
  throw error;
};

/** The shell joins the leaf and becomes the rest of the command: no moment in which the plugin runs outside. */
function joinCgroup({ level, cgroupProcs, tools }: LaunchRequest): string[] {
  if (level !== 'isolated+cgroup') return [];
  if (cgroupProcs === undefined)
    throw refuse('level isolated+cgroup needs a cgroup of the plugin’s own', 'run the service under systemd with Delegate=yes');
  return [need(tools, 'shell', 'dash'), '-c', 'echo 0 > "$0" && exec "$@"', cgroupProcs];
}

/**
 * Gives up the service's uid, then asks the kernel to be killed with the supervisor. setpriv sets the signal after the change of uid, which
 * would clear it, and the programs that follow by exec keep it.
 */
function lowerSelf({ tools, uid, level }: LaunchRequest): string[] {
  if (tools.setpriv === null && uid === null && level === 'none') return [];
  const identity = uid === null ? [] : ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
  return [need(tools, 'setpriv', 'util-linux'), ...identity, '--no-new-privs', '--pdeathsig', 'KILL', '--'];
}

/** The spawner passes an empty environment already; this holds even where something wraps spawning and adds to it (NODE_OPTIONS undoes flags). */
const emptyEnvironment = (tools: Tools): string[] => [need(tools, 'env', 'coreutils'), '-i'];

function planBare({ level, tools, permission = true }: LaunchRequest, limits: Limits): string[] {
  const guarded = level === 'restricted';
  const lower = guarded ? [need(tools, 'prlimit', 'util-linux'), ...limits.prlimit, '--'] : [];
  return [...emptyEnvironment(tools), ...lower, tools.node.path, ...nodeFlags(limits, guarded && permission, false), '-e', bootText];
}

/**
 * A supervisor that was killed before the death signal was asked for left this process to another parent: nothing would end it any more.
 * While the cage is built a watcher stands by: bwrap's monitor may be killed between the clone of its init and the word that lets it go on,
 * and that init would wait for ever. Told that all is well it leaves; when the pipe ends without that word it ends the whole process group.
 * Core files are the one limit to set out here as well: bwrap itself holds the artifact for a moment.
 */
const watchedSetUp = `test "$PPID" = "$0" && ulimit -c 0 || exit 1
(read -r word <&${fds.watch} || kill -9 "-$$") &
exec "$@" ${fds.watch}<&-`;

/** In the cage, before a native plugin: says that it is there, and goes on at the supervisor's word alone. The boot text does so itself. */
const gate = (last: string) => ['/rt/sh', '-c', `echo >&${fds.payload} && read -r word <&${fds.payload} && exec "$@" ${last}`, 'sh'];
const closePayload = `${fds.payload}<&-`;
const placeResponses = `${responsesInside}<&${fds.responses} ${fds.responses}<&-`; // over the payload's, which had its use
const gateOf = (program: Program): string[] => gate(isAction(program) ? placeResponses : closePayload);

function planCaged({ tools, program, launcher, disableUserns = true, permission = true }: LaunchRequest, limits: Limits): string[] {
  need(tools, 'prlimit', 'util-linux'); // bound into the cage
  const orphanCheck = [need(tools, 'shell', 'dash'), '-c', watchedSetUp, String(launcher.pid)];
  const isJs = program.engine === 'node';
  const plugin = isJs ? ['/rt/node', ...nodeFlags(limits, permission, true), '-e', bootText] : [`/plugin/${entryOf(program)}`];
  const cage = listCage(fds, disableUserns, isAction(program) ? responsesInside : null);
  const outside = [...orphanCheck, ...emptyEnvironment(tools), need(tools, 'bwrap', 'bubblewrap')];
  return [...outside, ...cage, '--', ...(isJs ? [] : gateOf(program)), '/rt/prlimit', ...limits.prlimit, '--', ...plugin];
}

function nodeFlags(limits: Limits, permission: boolean, ownTmp: boolean): string[] {
  return [
    ...(permission ? ['--permission', ...(ownTmp ? ['--allow-fs-read=/tmp', '--allow-fs-write=/tmp'] : [])] : []),
    // The permission model does not cover these modules.
    ...['--no-experimental-sqlite', '--no-experimental-ffi', '--no-addons'],
    ...[
      '--disable-sigusr1',
      '--disable-proto=throw',
      '--no-experimental-websocket',
      '--no-experimental-webstorage',
      '--no-global-search-paths',
    ],
    ...limits.node,
  ];
}

function describePayload({ program, launcher, level, permission = true }: LaunchRequest, plug: readonly number[]): ExtraDescriptor {
  if (program.engine !== 'node') throw refuse('only a JS program is read from a pipe', 'this is a fault of the service; report it');
  const { runner, title } = program;
  // Inside a pid namespace the parent is always the namespace's init.
  const parentPid = isAtLeast(level, 'isolated') ? null : launcher.pid;
  const kind = parentPid === null ? 'held back' : 'data';
  const bytes = encodeRunner({ runner, parentPid, close: plug, seatBelt: permission, ...(title ? { title } : {}) });
  return { fd: fds.payload, kind, bytes, isOpen: true };
}

function encodeDelivery(program: Program): Buffer | null {
  if (program.engine === 'native' || program.artifact === 'later') return null;
  const { artifact, artifactSha256 } = program;
  return encodeArtifact({ artifact, ...(artifactSha256 ? { artifactSha256 } : {}) });
}

function describeCaged(request: LaunchRequest, limits: Limits, plug: readonly number[]): ExtraDescriptor[] {
  const { program, tools } = request;
  if (tools.arch === null) throw refuse('there is no system call filter for this processor', 'run the service on x86_64 or aarch64');
  const binds = listBinds({ tools, engine: program.engine, tmpBytes: limits.tmpBytes, files: listFiles(program) });
  return [
    ...describeProgram(request, plug),
    { fd: fds.args, kind: 'data', bytes: Buffer.from(binds.map((word) => `${word}\0`).join('')) },
    { fd: fds.seccomp, kind: 'data', bytes: buildSeccompFilter(program.engine, tools.arch) },
    { fd: fds.status, kind: 'status' },
    { fd: fds.watch, kind: 'held back', bytes: go },
  ];
}

function describeProgram(request: LaunchRequest, plug: readonly number[]): ExtraDescriptor[] {
  const { program } = request;
  if (program.engine === 'node') return [describePayload(request, plug)];
  return [
    ...listFiles(program).map(({ fd, bytes }): ExtraDescriptor => ({ fd, kind: 'data', bytes })),
    ...(isAction(program) ? [{ fd: fds.responses, kind: 'handed over', source: program.action.responses } as const] : []),
    { fd: fds.payload, kind: 'held back', bytes: go },
  ];
}

type ActionProgram = Extract<Program, { engine: 'native' }> & { action: ActionFiles };
const isAction = (program: Program): program is ActionProgram => program.engine === 'native' && program.action !== undefined;
const entryOf = (program: Program): string => (isAction(program) ? program.action.entryPath : 'artifact');

/** What a native program consists of, each file with the descriptor that its bytes come through. */
function listFiles(program: Program): (CageFile & { fd: number })[] {
  if (program.engine === 'node') return [];
  const entry = { path: entryOf(program), bytes: program.artifact, isExecutable: true, fd: fds.artifact };
  const others = program.action?.files ?? [];
  if (others.length > cageFilesMost)
    throw refuse(`a bundle shows at most ${cageFilesMost} files`, 'this is a fault of the service; report it');
  return [entry, ...others.map((file, index) => ({ ...file, fd: fds.firstFile + index }))];
}

const listProgramFds = (program: Program): number[] => [
  ...listFiles(program).map(({ fd }) => fd),
  ...(isAction(program) ? [fds.responses] : []),
];
