import { spawnSync } from 'node:child_process';
import t from 'tap';
import type { Outcomes } from '../../../supervisor/sandbox/canary.ts';
import type { ProbeFindings } from '../../../supervisor/sandbox/judge-layers.ts';
import type { LaunchPlan } from '../../../supervisor/sandbox/launch.ts';
import { probeSandbox } from '../../../supervisor/sandbox/probe.ts';
import { judgeProbe } from '../../../supervisor/sandbox/probe-report.ts';
import type { WatchedRun } from '../../../supervisor/sandbox/run-canary.ts';
import { spawnPlan } from '../../../supervisor/sandbox/spawn-plan.ts';
import { findings, good } from '../../support/probe-findings.ts';
import { probeHost } from '../../support/probe-host.ts';
import { whyNot } from '../../support/sandbox-session.ts';

const met = (change: Partial<Outcomes>): WatchedRun => ({ ...good, outcomes: { ...(good.outcomes as Outcomes), ...change } }); // it spoke
const silent = (stderr: string): WatchedRun => ({ ...good, outcomes: undefined, kernel: undefined, setUp: false, stderr });
const gone: WatchedRun = { ...good, seen: { reached: false, fault: 'its file was taken away meanwhile' } };

const doubtful: [name: string, change: Partial<ProbeFindings>][] = [
  ['a connection that nobody answered', { alone: met({ 'reach-loopback': 'no-answer' }) }],
  ['a host without descriptors', { alone: met({ 'read-host-file': 'ENFILE' }) }],
  ['a host without processes', { alone: met({ 'start-program': 'EAGAIN' }) }],
  ['a limit that was not reached', { alone: met({ 'hoard-descriptors': 'ENOSPC' }) }],
  ['a target that went away', { alone: gone }],
  ['a canary that came to no end', { alone: { ...good, timedOut: true } }],
  ['another that came to no end', { caged: { ...good, timedOut: true } }],
  ['a canary that was killed', { alone: silent('') }],
  ['bwrap without memory', { caged: silent('bwrap: Creating new namespace failed: Cannot allocate memory') }],
  ['a canary that could not be started', { alone: { notRun: 'the probe could not be started (EAGAIN)', mayPass: true } }],
];
for (const [name, change] of doubtful) {
  t.test(`given ${name}, when the probe is judged, then it counts neither for the sandbox nor against it`, async (t) => {
    const report = judgeProbe(findings(change));
    t.notMatch(report.available, /isolated/);
    t.equal(report.possible, 'isolated');
  });
}

t.test('given a leak and a doubt, when the probe is judged, then the leak decides', async (t) => {
  const escaped = met({ 'reach-loopback': 'escaped', 'read-host-file': 'ENFILE' });
  for (const alone of [escaped, { ...gone, seen: { reached: true, fault: 'gone' } }, { ...escaped, timedOut: true }])
    t.match(judgeProbe(findings({ alone })), { available: 'restricted', possible: 'restricted' });
});

const skip = whyNot(process.getuid?.() === 0 ? 'root' : 'plain user', 'bwrap', 'prlimit', 'setpriv');

t.test('given a host that has no process left for a moment, when it is probed, then it is tried again at once', { skip }, async (t) => {
  let refused = 0;
  const spawn = (plan: LaunchPlan) => {
    if (refused++ < 3) throw Object.assign(new Error('spawn EAGAIN'), { code: 'EAGAIN' });
    return spawnPlan(plan);
  };
  t.match(await probeSandbox({ ...probeHost, spawn }), { available: 'isolated', possible: 'isolated' });
  t.equal(refused, 6);
});

t.test('given a host that has none for longer, when it is probed, then three tries are made and nothing is told', { skip }, async (t) => {
  let refused = 0;
  const spawn = (): never => {
    refused++;
    throw Object.assign(new Error('spawn EAGAIN'), { code: 'EAGAIN' });
  };
  const report = await probeSandbox({ ...probeHost, spawn });
  t.match(report, { available: 'none', possible: 'isolated' });
  t.match(report.layers[0], { available: false, inDoubt: true, detail: /EAGAIN/ });
  t.equal(refused, 9);
});

t.test('given a leaky cage whose target strangers keep busy, when it is probed, then it is never taken for whole', { skip }, async (t) => {
  const busy =
    'import net from "node:net"; for (let n = 0; n < 400; n++) net.connect(+process.argv[1], "127.0.0.1").on("error", () => {});';
  const spawn = (plan: LaunchPlan) => {
    const port = /"port":(\d+)/.exec(plan.delivery?.toString() ?? '')?.[1] ?? '';
    const run = ['-i', process.execPath, '--input-type=module', '-e', busy, port];
    if (plan.args.includes('--unshare-all')) spawnSync('/usr/bin/env', run, { stdio: 'ignore', timeout: 300, killSignal: 'SIGKILL' });
    const args = plan.args.flatMap((each) => (each === '--unshare-all' ? ['--unshare-pid', '--unshare-ipc', '--unshare-uts'] : [each]));
    const allowAll = Buffer.from('060000000000ff7f', 'hex');
    const stdio = plan.stdio.map((each) => (each.fd === 5 && each.kind === 'data' ? { ...each, bytes: allowAll } : each));
    return spawnPlan({ ...plan, args, stdio });
  };
  t.notMatch((await probeSandbox({ ...probeHost, spawn })).available, /isolated/);
});
