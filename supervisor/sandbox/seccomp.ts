import { type Arch, nodeAllowed, refusedEnosys, refusedEperm, syscallNumbers } from './syscalls.ts';

export type FilterKind = 'node' | 'native';
export type Verdict = 'allow' | 'eperm' | 'enosys' | 'threads-only' | 'no-namespaces' | 'unix-sockets-only' | 'no-terminal-tricks';
/** One struct sock_filter: operation, jumps when true and false, constant. */
type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, constant: number];
type Range = { from: number; verdict: Verdict };

const op = { load: 0x20, jump: 0x05, ifEqual: 0x15, ifAtLeast: 0x35, ifAnyBit: 0x45, and: 0x54, answer: 0x06 } as const;
const answer = { allow: 0x7fff0000, eperm: 0x00050001, enosys: 0x00050026, eafnosupport: 0x00050061, kill: 0x80000000 } as const;
const auditArch: Record<Arch, number> = { x64: 0xc000003e, arm64: 0xc00000b7 };
// Offsets into struct seccomp_data; both architectures are little-endian, so the low half of an argument comes first.
const at = { number: 0, arch: 4, argument: (index: number) => 16 + 8 * index } as const;

const threadFlags = 0x0001_0900; // CLONE_THREAD | CLONE_SIGHAND | CLONE_VM
const namespaceFlags = 0x7e02_0000; // CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
const traceFlags = 0x0000_6000; // CLONE_PTRACE | CLONE_VFORK
const afUnix = 1;
const refusedIoctls = [0x5412, 0x541c, 0x5423]; // TIOCSTI, TIOCLINUX, TIOCSETD: typing into or rewiring a terminal

const give = (constant: number): Instruction => [op.answer, 0, 0, constant];
const load = (offset: number): Instruction => [op.load, 0, 0, offset];

/** What each verdict does once the number has been matched. Only the low half of an argument is read: the kernel drops the rest here too. */
const bodies: Record<Verdict, readonly Instruction[]> = {
  allow: [give(answer.allow)],
  eperm: [give(answer.eperm)],
  enosys: [give(answer.enosys)],
  'threads-only': [
    load(at.argument(0)),
    [op.ifAnyBit, 3, 0, namespaceFlags | traceFlags],
    [op.and, 0, 0, threadFlags],
    [op.ifEqual, 0, 1, threadFlags],
    give(answer.allow),
    give(answer.eperm),
  ],
  'no-namespaces': [load(at.argument(0)), [op.ifAnyBit, 0, 1, namespaceFlags], give(answer.eperm), give(answer.allow)],
  'unix-sockets-only': [load(at.argument(0)), [op.ifEqual, 0, 1, afUnix], give(answer.allow), give(answer.eafnosupport)],
  'no-terminal-tricks': [
    load(at.argument(1)),
    ...refusedIoctls.map((request, index): Instruction => [op.ifEqual, refusedIoctls.length - index, 0, request]),
    give(answer.allow),
    give(answer.eperm),
  ],
};

const allowed = new Set(nodeAllowed);
const eperm = new Set(refusedEperm);
const enosys = new Set(refusedEnosys);

function decide(kind: FilterKind, name: string): Verdict {
  if (enosys.has(name)) return 'enosys';
  if (eperm.has(name)) return 'eperm';
  if (name === 'clone') return kind === 'node' ? 'threads-only' : 'no-namespaces';
  if (name === 'socket' || name === 'socketpair') return 'unix-sockets-only';
  if (name === 'ioctl') return 'no-terminal-tricks';
  return kind === 'native' || allowed.has(name) ? 'allow' : 'eperm';
}

/** Neighbouring numbers with one verdict as one range. A hole is a call newer than the table or one of x32: ENOSYS. */
function findRanges(kind: FilterKind, arch: Arch): Range[] {
  const named = new Map([...syscallNumbers[arch]].map(([name, number]) => [number, name]));
  const last = Math.max(...named.keys());
  const ranges: Range[] = [];
  for (let number = 0; number <= last + 1; number++) {
    const name = named.get(number);
    const verdict = name === undefined ? 'enosys' : decide(kind, name);
    if (ranges.at(-1)?.verdict !== verdict) ranges.push({ from: number, verdict });
  }
  return ranges;
}

/** A binary search whose leaves hold their own answer: the only jumps that can grow past 255 are those over a left half. */
export function searchTree(ranges: readonly Range[]): Instruction[] {
  const [only] = ranges;
  const middle = ranges.length >> 1;
  const pivot = ranges[middle];
  if (only === undefined || pivot === undefined || ranges.length === 1) return [...bodies[only?.verdict ?? 'enosys']];
  const below = searchTree(ranges.slice(0, middle));
  const rest = searchTree(ranges.slice(middle));
  const branch: Instruction[] =
    below.length <= 255
      ? [[op.ifAtLeast, below.length, 0, pivot.from]]
      : [
          [op.ifAtLeast, 0, 1, pivot.from],
          [op.jump, 0, 0, below.length],
        ];
  return [...branch, ...below, ...rest];
}

/** The cBPF program that bwrap's `--seccomp` reads: an allow list for Node, a deny list for native code. */
export function buildSeccompFilter(kind: FilterKind, arch: Arch): Buffer {
  const program: Instruction[] = [
    load(at.arch),
    [op.ifEqual, 1, 0, auditArch[arch]],
    give(answer.kill), // a 32-bit entry has other numbers: nothing below would mean what it says
    load(at.number),
    ...searchTree(findRanges(kind, arch)),
  ];
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(([code, whenTrue, whenFalse, constant], index) => {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(whenTrue, index * 8 + 2);
    bytes.writeUInt8(whenFalse, index * 8 + 3);
    bytes.writeUInt32LE(constant >>> 0, index * 8 + 4);
  });
  return bytes;
}
