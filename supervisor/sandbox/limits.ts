import type { Resources } from '../../protocol/manifest.ts';
import type { Level } from './levels.ts';

const mebibyte = 1024 * 1024;
/**
 * What Node 26 itself takes of RLIMIT_DATA before a plugin allocates anything: V8 maps 512 MiB for code as writable, the rest is heap,
 * libraries and thread stacks. Measured: 562 MiB with the flags below.
 */
const nodeBaseMib = 572;
/** Below this V8 aborts at start, or at the first garbage collection. */
const nodeLeastMib = 64;
/** Node runs some ten threads, counted like processes; with fewer it aborts. */
const nodeLeastPids = 24;
const nativeAddressSpaceMib = 1024;
const openFiles = 64;

export type Limits = { prlimit: readonly string[]; node: readonly string[]; tmpBytes: number; notEnforced: readonly (keyof Resources)[] };
export type LimitRequest = { level: Level; engine: 'node' | 'native'; resources: Resources; ownUid: boolean; payloadBytes: number };

/** Turns a manifest's resources into arguments of prlimit and Node, and says which of them this level cannot hold. */
export function planLimits(request: LimitRequest): Limits {
  const { level, engine, resources } = request;
  const node = engine === 'node' ? nodeFlags(Math.max(resources.memory_mib, nodeLeastMib)) : [];
  const tmpBytes = resources.tmp_mib * mebibyte;
  const notEnforced = listNotEnforced(request);
  if (level === 'none') return { prlimit: [], node, tmpBytes, notEnforced };

  const caged = level !== 'restricted';
  const most = (name: string, value: number) => `--${name}=${value}:${value}`;
  const prlimit = [
    most('nofile', openFiles),
    // Outside a namespace and without a uid of its own the child would be charged for every process of the service's user.
    ...(caged || request.ownUid ? [most('nproc', countPids(request) + 1)] : []), // one is the namespace's init
    most('core', 0),
    most('fsize', caged ? tmpBytes : 0), // restricted has no folder to write in: not even a hole in the permission model may fill a disk
    most('data', countDataBytes(request)),
    ...(engine === 'native' ? [most('as', Math.max(nativeAddressSpaceMib, resources.memory_mib * 2) * mebibyte)] : []),
    most('msgqueue', 0),
    most('memlock', 65_536),
    most('sigpending', 256),
  ];
  return { prlimit, node, tmpBytes, notEnforced };
}

/** Three quarters for the JS heap, so that running out of it is V8's own error; the rest for Buffers and WASM, where the rlimit answers. */
const nodeFlags = (memoryMib: number): string[] => [
  `--max-old-space-size=${Math.floor((memoryMib * 3) / 4)}`,
  '--max-semi-space-size=4',
  '--v8-pool-size=2',
];

const countPids = ({ engine, resources }: LimitRequest): number =>
  engine === 'node' ? Math.max(resources.pids, nodeLeastPids) : resources.pids;

function countDataBytes({ engine, resources, payloadBytes }: LimitRequest): number {
  if (engine === 'native') return resources.memory_mib * mebibyte;
  // The program's own text is held up to four times while it is read, checked and turned into a string.
  return (nodeBaseMib + Math.max(resources.memory_mib, nodeLeastMib)) * mebibyte + payloadBytes * 4;
}

function listNotEnforced({ level, engine, resources, ownUid }: LimitRequest): (keyof Resources)[] {
  if (level === 'none') return ['memory_mib', 'cpu_percent', 'pids', 'tmp_mib'];
  if (level === 'isolated+cgroup') return [];
  const names: (keyof Resources)[] = ['cpu_percent'];
  // A limit of the kernel holds the private memory of one process: native code may start more, and share memory with them.
  if (engine === 'native' || resources.memory_mib < nodeLeastMib) names.unshift('memory_mib');
  const pidsHeld = (level !== 'restricted' || ownUid) && (engine === 'native' || resources.pids >= nodeLeastPids);
  return pidsHeld ? names : [...names, 'pids'];
}
