import { dirname } from 'node:path';
import t from 'tap';
import type { LaunchPlan } from '../../../supervisor/sandbox/launch.ts';
import { probeSandbox } from '../../../supervisor/sandbox/probe.ts';
import { spawnPlan } from '../../../supervisor/sandbox/spawn-plan.ts';
import { factsOf, probeHost } from '../../support/probe-host.ts';
import { whyNot } from '../../support/sandbox-session.ts';

const skip = whyNot(process.getuid?.() === 0 ? 'root' : 'plain user', 'bwrap', 'prlimit', 'setpriv');

type Weaken = (plan: LaunchPlan) => LaunchPlan;
const swap =
  (word: string, ...others: string[]): Weaken =>
  (plan) => ({ ...plan, args: plan.args.flatMap((each) => (each === word ? others : [each])) });
/** One more mount; bwrap makes those of its command line after those that come through the pipe. */
const mount = (...words: string[]): Weaken => swap('--dev', ...words, '--dev');
const sharing = (...kept: string[]): Weaken =>
  swap(
    '--unshare-all',
    ...['ipc', 'pid', 'uts', 'net', 'cgroup-try'].filter((name) => !kept.includes(name)).map((name) => `--unshare-${name}`),
  );
const allowAll = Buffer.from('060000000000ff7f', 'hex'); // the one instruction of a filter that lets everything through
const seccompFd = 5;
const withoutFilter: Weaken = (plan) => ({
  ...plan,
  stdio: plan.stdio.map((each) => (each.fd === seccompFd && each.kind === 'data' ? { ...each, bytes: allowAll } : each)),
});

const leaks: [name: string, weaken: Weaken, layer: string, detail: RegExp][] = [
  ['the network of the host, without a filter', (plan) => sharing('net')(withoutFilter(plan)), 'namespaces', /reach-loopback/],
  ['the network of the host, behind the filter', sharing('net'), 'namespaces', /shares namespaces with the host: net/],
  ['the processes of the host', sharing('pid'), 'namespaces', /signal-supervisor|namespaces with the host: pid/],
  ['a file of the host', mount('--ro-bind', '/etc/passwd', '/etc/passwd'), 'namespaces', /read-host-file/],
  [
    'a folder of the host that it can write',
    (plan) => mount('--bind', dirname(factsOf(plan).writable), dirname(factsOf(plan).writable))(plan),
    'namespaces',
    /write-host-file/,
  ],
  ['the host’s /proc', mount('--ro-bind', '/proc', '/proc'), 'namespaces', /read-proc/],
  ['no filter', withoutFilter, 'seccomp', /did not hold/],
  ['no limit of descriptors', swap('--nofile=64:64', '--nofile=512:512'), 'resource-limits', /did not hold/],
];
for (const [name, weaken, layer, detail] of leaks) {
  t.test(`given a cage with ${name}, when it is probed, then the leak is found`, { skip }, async (t) => {
    const isCaged = (plan: LaunchPlan) => plan.args.includes('--unshare-all');

    const report = await probeSandbox({ ...probeHost, spawn: (plan) => spawnPlan(isCaged(plan) ? weaken(plan) : plan) });

    t.notMatch(report.available, /isolated/);
    t.match(
      report.layers.find((row) => row.layer === layer),
      { available: false, detail, inDoubt: undefined },
    );
  });
}
