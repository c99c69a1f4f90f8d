import t from 'tap';
import { buildSeccompFilter, type FilterKind, searchTree, type Verdict } from '../../../supervisor/sandbox/seccomp.ts';
import { type Arch, nodeAllowed, refusedEnosys, refusedEperm, syscallNumbers } from '../../../supervisor/sandbox/syscalls.ts';

const answers = new Map([
  [0x7fff0000, 'allow'],
  [0x00050001, 'eperm'],
  [0x00050026, 'enosys'],
  [0x00050061, 'eafnosupport'],
  [0x80000000, 'kill'],
]);
const auditArch: Record<Arch, number> = { x64: 0xc000003e, arm64: 0xc00000b7 };
type Call = { number: number; arch: number; args?: readonly bigint[] };

/** Runs a program as the kernel would, and refuses what the kernel's checker refuses: jumps out of the program, loads off the data. */
function interpret(program: Buffer, { number, arch, args = [] }: Call): string {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number >>> 0, 0);
  data.writeUInt32LE(arch >>> 0, 4);
  args.forEach((value, index) => void data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * index));
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const code = program.readUInt16LE(at * 8);
    const k = program.readUInt32LE(at * 8 + 4);
    const skip = (taken: boolean) => program.readUInt8(at * 8 + (taken ? 2 : 3));
    if (code === 0x06) return answers.get(k) ?? `unknown answer ${k}`;
    if (code === 0x20 && k % 4 === 0 && k < 64) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += skip(accumulator === k);
    else if (code === 0x35) at += skip(accumulator >= k);
    else if (code === 0x45) at += skip((accumulator & k) >>> 0 !== 0);
    else throw new Error(`instruction ${at} (${code}) is not one the kernel takes`);
  }
  throw new Error('ran off the end');
}

const kinds: readonly FilterKind[] = ['node', 'native'];
const arches: readonly Arch[] = ['x64', 'arm64'];
const byArgument = ['clone', 'socket', 'socketpair', 'ioctl'];
const glibcThread = 0x3d0f00n;
const muslThread = 0x7d0f00n;

function expectedVerdict(kind: FilterKind, name: string): string {
  if (refusedEnosys.includes(name)) return 'enosys';
  if (refusedEperm.includes(name)) return 'eperm';
  return kind === 'native' || nodeAllowed.includes(name) ? 'allow' : 'eperm';
}

for (const kind of kinds) {
  for (const arch of arches) {
    const program = buildSeccompFilter(kind, arch);
    const numberOf = (name: string) => syscallNumbers[arch].get(name) ?? -1;
    const run = (name: string, ...args: bigint[]) => interpret(program, { number: numberOf(name), arch: auditArch[arch], args });

    t.test(`given the ${kind} filter of ${arch}, when any call of the table is made, then it gets the listed verdict`, async (t) => {
      const calls = [...syscallNumbers[arch].keys()].filter((name) => !byArgument.includes(name));

      const wrong = calls.filter((name) => run(name) !== expectedVerdict(kind, name));

      t.same(wrong, []);
      t.ok(calls.length > 300);
      t.ok(program.length / 8 <= 4096, 'the kernel takes at most 4096 instructions');
    });

    t.test(
      `given the ${kind} filter of ${arch}, when a number is in no table, then it is unknown, whatever it will mean one day`,
      async (t) => {
        const known = new Set(syscallNumbers[arch].values());
        const holes = Array.from({ length: 1200 }, (_, number) => number).filter((number) => !known.has(number));
        const others = [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x4000_0000, 0x4000_0001, 0x4000_0208];

        const wrong = [...holes, ...others].filter((number) => interpret(program, { number, arch: auditArch[arch] }) !== 'enosys');

        t.same(wrong, []);
      },
    );

    t.test(`given the ${kind} filter of ${arch}, when the call comes by another architecture, then the process is killed`, async (t) => {
      const foreign = [0x40000003, 0x40000028, 0, ...arches.filter((other) => other !== arch).map((other) => auditArch[other])];
      for (const other of foreign) t.equal(interpret(program, { number: numberOf('read'), arch: other }), 'kill');
    });

    t.test(
      `given the ${kind} filter of ${arch}, when a process or a thread is cloned, then only what the engine needs is let through`,
      async (t) => {
        const fork = kind === 'native' ? 'allow' : 'eperm';
        t.equal(run('clone', glibcThread), 'allow');
        t.equal(run('clone', muslThread), 'allow');
        t.equal(run('clone', 0x1200011n), fork, 'fork');
        t.equal(run('clone', 0x4111n), fork, 'vfork');
        t.equal(run('clone', glibcThread | (0xffff_ffffn << 32n)), 'allow', 'the kernel ignores the upper half');
        for (const flag of [0x20000n, 0x2000000n, 0x4000000n, 0x8000000n, 0x10000000n, 0x20000000n, 0x40000000n]) {
          t.equal(run('clone', glibcThread | flag), 'eperm', `thread with namespace flag ${flag.toString(16)}`);
          t.equal(run('clone', 0x11n | flag), 'eperm', `process with namespace flag ${flag.toString(16)}`);
        }
        t.equal(run('clone3'), 'enosys');
      },
    );

    t.test(`given the ${kind} filter of ${arch}, when a socket is made, then only unix sockets are`, async (t) => {
      for (const name of ['socket', 'socketpair']) {
        t.equal(run(name, 1n), 'allow');
        for (const family of [0n, 2n, 10n, 16n, 17n, 38n, 40n, 44n]) t.equal(run(name, family), 'eafnosupport', `${name} ${family}`);
        t.equal(run(name, 2n | (1n << 32n)), 'eafnosupport', 'the upper half hides nothing');
      }
    });

    t.test(`given the ${kind} filter of ${arch}, when a terminal would be typed into, then it is refused`, async (t) => {
      for (const request of [0x5412n, 0x541cn, 0x5423n]) t.equal(run('ioctl', 0n, request), 'eperm');
      t.equal(run('ioctl', 0n, 0x5412n | (1n << 32n)), 'eperm', 'the kernel cuts the request to 32 bits, and so does the filter');
      for (const request of [0x5401n, 0x5413n, 0x541bn, 0x5411n]) t.equal(run('ioctl', 0x5412n, request), 'allow');
    });
  }
}

t.test('given the tables, when numbers known from elsewhere are looked up, then they agree', async (t) => {
  const known: Record<Arch, Record<string, number>> = {
    x64: {
      read: 0,
      clone: 56,
      execve: 59,
      ptrace: 101,
      mount: 165,
      unshare: 272,
      seccomp: 317,
      bpf: 321,
      io_uring_setup: 425,
      clone3: 435,
    },
    arm64: {
      io_setup: 0,
      mount: 40,
      openat: 56,
      read: 63,
      newfstatat: 79,
      unshare: 97,
      ptrace: 117,
      socket: 198,
      clone: 220,
      bpf: 280,
      clone3: 435,
    },
  };
  for (const arch of arches) {
    for (const [name, number] of Object.entries(known[arch])) t.equal(syscallNumbers[arch].get(name), number, `${name} on ${arch}`);
    t.equal(new Set(syscallNumbers[arch].values()).size, syscallNumbers[arch].size, 'no number stands twice');
  }
  t.same(
    nodeAllowed.filter((name) => !syscallNumbers.x64.has(name)),
    [],
    'every allowed name is a call',
  );
});

t.test(
  'given so many ranges that a jump would pass 255, when the tree is built, then each number still finds its own answer',
  async (t) => {
    const verdicts: Verdict[] = ['allow', 'eperm', 'enosys'];
    const ranges = Array.from({ length: 900 }, (_, from) => ({ from, verdict: verdicts[from % 3] ?? 'allow' }));
    const instructions = [[0x20, 0, 0, 0] as const, ...searchTree(ranges)];
    const program = Buffer.alloc(instructions.length * 8);
    instructions.forEach(([code, whenTrue, whenFalse, constant], index) => {
      program.writeUInt16LE(code, index * 8);
      program.writeUInt8(whenTrue, index * 8 + 2);
      program.writeUInt8(whenFalse, index * 8 + 3);
      program.writeUInt32LE(constant >>> 0, index * 8 + 4);
    });

    const wrong = ranges.filter(({ from, verdict }) => interpret(program, { number: from, arch: 0 }) !== verdict);

    t.same(wrong, []);
  },
);
