import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { createRealClock } from '../../../supervisor/clock.ts';
import { type Outcomes, parseOutcomes } from '../../../supervisor/sandbox/canary.ts';
import type { ProbeFindings } from '../../../supervisor/sandbox/judge-layers.ts';
import type { LaunchPlan } from '../../../supervisor/sandbox/launch.ts';
import { probeSandbox } from '../../../supervisor/sandbox/probe.ts';
import { judgeProbe } from '../../../supervisor/sandbox/probe-report.ts';
import { runCanary, type WatchedRun } from '../../../supervisor/sandbox/run-canary.ts';
import { type SpawnedChild, spawnPlan } from '../../../supervisor/sandbox/spawn-plan.ts';
import { describeOwnNode, findTools } from '../../../supervisor/sandbox/tools.ts';
import { createUidPool } from '../../../supervisor/sandbox/uids.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { blocked, findings, good, foundTools as tools } from '../../support/probe-findings.ts';
import { whyNot } from '../../support/sandbox-session.ts';

const isRoot = process.getuid?.() === 0;
const noCgroup = { offered: false, detail: 'no cgroup v2', howToGet: 'Delegate=yes' } as const;
const skip = whyNot(isRoot ? 'root' : 'plain user', 'bwrap', 'prlimit', 'setpriv');

t.test('given this host, when the real recipe is probed, then every layer of isolated was seen to hold', { skip }, async (t) => {
  const tools = await findTools(describeOwnNode());

  const report = await probeSandbox({ tools, clock: createRealClock(), uids: isRoot ? createUidPool() : null, cgroup: noCgroup });

  t.equal(report.available, 'isolated', JSON.stringify(report));
  t.match(report.outcomes['isolated, without --permission'], {
    'reach-loopback': 'EAFNOSUPPORT',
    'read-host-file': 'ENOENT',
    'start-program': 'EPERM',
  });
  t.match(report.outcomes.restricted, { 'reach-loopback': 'ERR_ACCESS_DENIED', 'read-host-file': 'ERR_ACCESS_DENIED' });
  t.equal(report.layers.find((row) => row.layer === 'own-uid')?.available, isRoot);
  t.match(
    report.layers.filter((row) => ['cgroup', 'landlock'].includes(row.layer)),
    [{ available: false }, { available: false }],
  );
});

t.test(
  'given a host without bwrap, when it is probed, then restricted is available and the package is named',
  { skip: whyNot(isRoot ? 'root' : 'plain user', 'prlimit', 'setpriv') },
  async (t) => {
    const tools = { ...(await findTools(describeOwnNode())), bwrap: null };

    const report = await probeSandbox({ tools, clock: createRealClock(), uids: isRoot ? createUidPool() : null, cgroup: noCgroup });

    t.equal(report.available, 'restricted');
    t.match(report.layers[0], { layer: 'namespaces', available: false, howToGet: 'apt-get install bubblewrap' });
  },
);

t.test(
  'given a read-only /proc/sys, when the host is probed, then it is tried again without the one option that needs it',
  { skip },
  async (t) => {
    const said = 'bwrap: cannot open /proc/sys/user/max_user_namespaces: Read-only file system';
    const fail = (plan: LaunchPlan): LaunchPlan => ({ ...plan, file: '/bin/sh', args: ['-c', 'echo "$0" >&2; exit 1', said] });
    const spawn = (plan: LaunchPlan) => spawnPlan(plan.args.includes('--disable-userns') ? fail(plan) : plan);

    const report = await probeSandbox({
      tools: await findTools(describeOwnNode()),
      clock: createRealClock(),
      uids: isRoot ? createUidPool() : null,
      cgroup: noCgroup,
      spawn,
    });

    t.match(report, { available: 'isolated', disableUserns: false });
    t.match(
      report.layers.find((row) => row.layer === 'no-nested-namespaces'),
      { available: false, howToGet: /proc\/sys\/user/ },
    );
  },
);

const broken: WatchedRun = {
  ...good,
  setUp: false,
  outcomes: undefined,
  kernel: undefined,
  stderr: 'bwrap: No permissions to create new namespace',
};
const escapedBy = (...names: (keyof Outcomes)[]): WatchedRun => ({
  ...good,
  outcomes: { ...good.outcomes, ...Object.fromEntries(names.map((name) => [name, 'escaped'])) } as Outcomes,
});

const judged: [name: string, change: Partial<ProbeFindings>, available: string, missing: string[]][] = [
  ['all that holds', {}, 'isolated', []],
  ['cgroups too', { cgroup: { offered: true, folder: '/x' } }, 'isolated+cgroup', []],
  ['bwrap that cannot build', { caged: broken, alone: broken }, 'restricted', ['namespaces', 'seccomp']],
  ['a canary that reached loopback', { alone: escapedBy('reach-loopback') }, 'restricted', ['namespaces']],
  [
    'a canary that says it was stopped while a connection came',
    { alone: { ...good, seen: { reached: true, fault: null } } },
    'restricted',
    ['namespaces'],
  ],
  [
    'a caged process in the network of the host',
    { alone: { ...good, kernel: { seccomp: true, noNewPrivs: true, capabilities: false, uid: 1, shared: ['net'] } } },
    'restricted',
    ['namespaces'],
  ],
  ['a canary that started a program', { alone: escapedBy('start-program') }, 'restricted', ['seccomp']],
  [
    'a kernel that knows no filter on it',
    { alone: { ...good, kernel: { seccomp: false, noNewPrivs: true, capabilities: false, uid: 1, shared: [] } } },
    'restricted',
    ['seccomp'],
  ],
  [
    'a caged process that kept capabilities',
    { alone: { ...good, kernel: { seccomp: true, noNewPrivs: true, capabilities: true, uid: 1, shared: [] } } },
    'restricted',
    ['namespaces'],
  ],
  [
    'a caged process of root',
    { alone: { ...good, kernel: { seccomp: true, noNewPrivs: true, capabilities: false, uid: 0, shared: [] } } },
    'restricted',
    ['namespaces'],
  ],
  ['limits that do not hold', { alone: escapedBy('hoard-descriptors') }, 'none', ['resource-limits']],
  [
    'a Node whose model leaks',
    { restricted: escapedBy('read-host-file'), caged: broken, alone: broken },
    'none',
    ['node-permission', 'namespaces'],
  ],
  ['no setpriv', { tools: { ...tools, setpriv: null } }, 'none', ['parent-death']],
  ['no prlimit', { tools: { ...tools, prlimit: null }, restricted: { notRun: 'no prlimit', mayPass: false } }, 'none', ['resource-limits']],
  ['no processor filter', { tools: { ...tools, arch: null } }, 'restricted', ['seccomp']],
  ['a Node no child can run', { tools: { ...tools, node: { ...tools.node, problem: 'x' } } }, 'none', []],
  ['a probe that took too long', { alone: { ...good, timedOut: true } }, 'restricted', ['namespaces']],
];
for (const [name, change, available, missing] of judged) {
  t.test(`given ${name}, when the probe is judged, then ${available} is available`, async (t) => {
    const report = judgeProbe(findings(change));
    t.equal(report.available, available);
    for (const layer of missing) {
      const row = report.layers.find((one) => one.layer === layer);
      t.match(row, { available: false }, layer);
      t.ok(row && row.howToGet !== '' && row.detail !== '', 'and how to get it');
    }
  });
}

t.test('given a canary’s line, when attempts are missing or it is no line of ours, then it does not count', async (t) => {
  t.ok(parseOutcomes(JSON.stringify(blocked)));
  for (const line of ['', 'null', '[]', '{}', '{"reach-loopback":"EPERM"}', JSON.stringify({ ...blocked, 'read-proc': 1 })])
    t.equal(parseOutcomes(line), undefined, line);
});

t.test('given a canary that neither speaks nor ends, when the deadline passes, then it is killed and the run says so', async (t) => {
  const clock = createFakeClock();
  const process_ = new EventEmitter();
  const killed: unknown[] = [];
  const kill = (signal: unknown) => {
    killed.push(signal);
    process_.emit('close');
    return true;
  };
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const child = {
    ...streams,
    process: process_,
    result: { kill },
    status: null,
    statusEnded: Promise.resolve(),
  } as unknown as SpawnedChild; // what the runner of canaries uses of it
  const running = runCanary({} as LaunchPlan, { spawn: () => child, clock, deadlineMs: 10_000 });

  await clock.advance(9_999);
  t.same(killed, []);
  await clock.advance(1);

  t.match(await running, { timedOut: true, outcomes: undefined });
  t.same(killed, ['SIGKILL']);
  t.equal(clock.pending(), 0);
});
