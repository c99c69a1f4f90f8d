import t from 'tap';
import { defaultResources } from '../../../protocol/manifest.ts';
import { type ExtraDescriptor, type LaunchRequest, planLaunch } from '../../../supervisor/sandbox/launch.ts';
import type { Tools } from '../../../supervisor/sandbox/tools.ts';

const tools: Tools = {
  bwrap: '/usr/bin/bwrap',
  prlimit: '/usr/bin/prlimit',
  setpriv: '/usr/bin/setpriv',
  shell: '/usr/bin/sh',
  env: '/usr/bin/env',
  prlimitLibraries: [{ source: '/usr/lib/libsmart.so.1.1', path: '/lib/libsmart.so.1' }],
  shellLibraries: [{ source: '/usr/lib/libshell.so.1', path: '/lib/libshell.so.1' }],
  node: { path: '/srv/secret-place/node', libraries: [{ source: '/usr/lib/libc.so.6', path: '/lib/libc.so.6' }], problem: null },
  arch: 'x64',
};
const js = { engine: 'node', runner: Buffer.from('runner text'), artifact: Buffer.from('artifact text') } as const;
const native = { engine: 'native', artifact: Buffer.from('\x7fELF machine code') } as const;
const asUser = { uid: 1000, pid: 4711, openDescriptors: [] };
const asRoot = { ...asUser, uid: 0 };
const request = (change: Partial<LaunchRequest> = {}): LaunchRequest => ({
  level: 'isolated',
  program: js,
  tools,
  resources: defaultResources,
  uid: null,
  launcher: asUser,
  ...change,
});
const textOf = (extra: ExtraDescriptor | undefined): string => (extra && 'bytes' in extra ? extra.bytes.toString() : '');
const words = (change: Partial<LaunchRequest> = {}) => {
  const { file, args } = planLaunch(request(change));
  return [file, ...args];
};

const refused: [name: string, change: Partial<LaunchRequest>][] = [
  ['root without a uid for the child', { launcher: asRoot }],
  ['root with uid 0 for the child', { launcher: asRoot, uid: 0 }],
  ['root without a uid at level none', { launcher: asRoot, level: 'none' }],
  ['a uid that only root could give', { uid: 60578 }],
  ['native code at restricted', { program: native, level: 'restricted' }],
  ['native code at none', { program: native, level: 'none' }],
  ['no bwrap', { tools: { ...tools, bwrap: null } }],
  ['no prlimit', { tools: { ...tools, prlimit: null } }],
  ['no setpriv', { tools: { ...tools, setpriv: null } }],
  ['no env', { tools: { ...tools, env: null }, level: 'none' }],
  ['no shell', { tools: { ...tools, shell: null } }],
  ['no setpriv at restricted', { tools: { ...tools, setpriv: null }, level: 'restricted' }],
  ['no prlimit at restricted', { tools: { ...tools, prlimit: null }, level: 'restricted' }],
  ['root without setpriv at none', { tools: { ...tools, setpriv: null }, level: 'none', launcher: asRoot, uid: 60578 }],
  ['no filter for the processor', { tools: { ...tools, arch: null } }],
  ['a Node that no child could run', { tools: { ...tools, node: { ...tools.node, problem: 'out of reach' } } }],
  ['a cgroup level without a cgroup', { level: 'isolated+cgroup' }],
];
for (const [name, change] of refused) {
  t.test(`given ${name}, when a launch is planned, then it is refused with a way out, never weakened`, async (t) => {
    t.throws(() => planLaunch(request(change)), { code: 'sandbox-unavailable', details: { hint: String } });
  });
}

t.test(
  'given level isolated, when a launch is planned, then its walls stand on the command line and its contents in the pipe',
  async (t) => {
    const plan = planLaunch(request());
    const text = [plan.file, ...plan.args].join(' ');
    const pipe = plan.stdio.find((row) => row.fd === 4);

    for (const wall of [
      '--unshare-all',
      '--unshare-user',
      '--disable-userns',
      '--die-with-parent',
      '--new-session',
      '--cap-drop ALL',
      '--clearenv',
      '--seccomp 5',
      '--remount-ro /',
      '--json-status-fd 6',
    ])
      t.ok(text.includes(wall), wall);
    t.notMatch(text, /secret-place/, 'a path of the host is in no command line');
    t.match(textOf(pipe), /--ro-bind\x00\/srv\/secret-place\/node\x00\/rt\/node\x00.*--tmpfs\x00\/tmp\x00$/s);
    t.notOk(text.includes('--proc'), 'no procfs');
    t.ok(text.indexOf('--args') < text.indexOf('--remount-ro /'), 'the root is closed after it was filled');
  },
);

t.test(
  'given a JS program, when a launch is planned at any level, then neither its text nor any data is on the command line',
  async (t) => {
    for (const level of ['isolated', 'restricted', 'none'] as const) {
      const plan = planLaunch(request({ level }));
      t.notMatch([plan.file, ...plan.args].join(' '), /runner text|artifact text|[0-9a-f]{64}/);
      const payload = plan.stdio.find((row) => row.fd === 3);
      t.match(textOf(payload), /\}runner text$/);
      t.match(plan.delivery?.toString(), /\}artifact text$/);
      t.equal(payload?.kind, level === 'isolated' ? 'held back' : 'data');
    }
  },
);

t.test('given a child that gets its artifact later, when its launch is planned, then it is the cage of a usual one', async (t) => {
  for (const level of ['isolated', 'restricted'] as const) {
    const [usual, later] = [request({ level }), request({ level })].map((each, index) =>
      planLaunch(index === 0 ? each : { ...each, program: { ...js, artifact: 'later' } }),
    );
    t.same(later?.args, usual?.args, 'with the same limits');
    t.same(later?.stdio, usual?.stdio);
    t.same(later?.plug, usual?.plug);
    t.equal(later?.delivery, null);
  }
});

t.test('given native code, when a launch is planned, then its bytes go through a pipe and Node is not in the cage', async (t) => {
  const plan = planLaunch(request({ program: native }));
  const [binds, artifact] = [4, 7].map((fd) => plan.stdio.find((row) => row.fd === fd));

  t.same(artifact, { fd: 7, kind: 'data', bytes: native.artifact });
  const text = textOf(binds);
  t.match(text, /--perms\x000500\x00--ro-bind-data\x007\x00\/plugin\/artifact\x00/);
  t.notMatch(text, /node|libc/);
  t.equal(plan.args.at(-1), '/plugin/artifact');
  t.match(
    plan.stdio.filter(({ kind }) => kind === 'held back').map(({ fd }) => fd),
    [3, 8],
    'it begins at the supervisor’s word',
  );
});

t.test('given root, when a launch is planned, then the uid changes before the death signal is set and before bwrap', async (t) => {
  for (const level of ['isolated', 'restricted', 'none'] as const) {
    const all = words({ level, launcher: asRoot, uid: 60600 });
    t.same(
      all.slice(0, 10),
      ['/usr/bin/setpriv', '--reuid', '60600', '--regid', '60600', '--clear-groups', '--no-new-privs', '--pdeathsig', 'KILL', '--'],
      level,
    );
  }
});

t.test('given a plain user, when a launch is planned, then only the death signal and no-new-privs are set', async (t) => {
  t.same(words({ level: 'restricted' }).slice(0, 5), ['/usr/bin/setpriv', '--no-new-privs', '--pdeathsig', 'KILL', '--']);
});

t.test('given level restricted, when a launch is planned, then Node may touch no file, and at none there is no model', async (t) => {
  const flags = words({ level: 'restricted' });
  t.ok(flags.includes('--permission'));
  t.notOk(flags.some((flag) => flag.startsWith('--allow')));
  t.ok(flags.includes('--no-experimental-sqlite') && flags.includes('--no-addons') && flags.includes('--no-experimental-ffi'));
  t.notOk(words({ level: 'none' }).includes('--permission'));
  t.notOk(words({ level: 'none' }).includes('/usr/bin/prlimit'));
});

t.test('given level isolated, when a launch is planned, then Node may touch its own tmp alone', async (t) => {
  t.same(
    words().filter((flag) => flag.startsWith('--allow')),
    ['--allow-fs-read=/tmp', '--allow-fs-write=/tmp'],
  );
});

t.test('given a kernel that cannot close the door to namespaces, when a launch is planned, then only that option goes', async (t) => {
  const [with_, without] = [words(), words({ disableUserns: false })];
  t.same(
    with_.filter((word) => !without.includes(word)),
    ['--disable-userns'],
  );
});

t.test('given inherited descriptors, when a launch is planned, then each is covered, or is one of ours', async (t) => {
  const launcher = { ...asUser, openDescriptors: [3, 5, 9, 251] };
  t.same(planLaunch(request({ launcher })).plug, [9, 251]);
  t.same(planLaunch(request({ launcher, level: 'restricted' })).plug, [5, 9, 251]);
  const payload = planLaunch(request({ launcher })).stdio.find((row) => row.fd === 3);
  t.match(textOf(payload), /"close":\[9,251\]/, 'and closed again once Node runs');
});

t.test(
  'given a cgroup, when a launch is planned, then the leaf is joined before anything else happens, with the service’s rights',
  async (t) => {
    const all = words({ level: 'isolated+cgroup', cgroupProcs: '/sys/fs/cgroup/svc/leaf/cgroup.procs', launcher: asRoot, uid: 60600 });
    t.same(all.slice(0, 5), [
      '/usr/bin/sh',
      '-c',
      'echo 0 > "$0" && exec "$@"',
      '/sys/fs/cgroup/svc/leaf/cgroup.procs',
      '/usr/bin/setpriv',
    ]);
    t.ok(all.includes('--unshare-all'));
  },
);
