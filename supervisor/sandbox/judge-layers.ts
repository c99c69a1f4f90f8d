import { type Attempt, isRefusal, type Outcomes } from './canary.ts';
import type { CgroupOffer } from './cgroup.ts';
import { explainBwrapFailure, isPassingFailure, type ReadSetting } from './explain-failure.ts';
import type { Layer } from './levels.ts';
import { type CanaryAttempt, isRun, type WatchedRun } from './run-canary.ts';
import type { Tools } from './tools.ts';

export type ProbeFindings = {
  tools: Tools;
  cgroup: CgroupOffer;
  ownUids: boolean;
  readSetting: ReadSetting;
  caged: CanaryAttempt;
  alone: CanaryAttempt;
  restricted: CanaryAttempt;
  disableUserns: boolean;
};

const installBwrap = 'apt-get install bubblewrap';
const installUtilLinux = 'apt-get install util-linux';
const lookAtHost = 'look at the load of the host and at who is busy on it, then run lattice doctor again';
const reportThis = 'report this with the output of lattice doctor --json';
const outside: readonly Attempt[] = ['reach-loopback', 'read-host-file', 'write-host-file', 'read-proc', 'signal-supervisor'];
const byPermission: readonly Attempt[] = ['reach-loopback', 'read-host-file', 'write-host-file', 'read-proc', 'start-program'];

export const outcomesOf = (run: CanaryAttempt): Outcomes | undefined => (isRun(run) && run.setUp ? run.outcomes : undefined);
const escapes = (outcomes: Outcomes, names: readonly Attempt[]): Attempt[] => names.filter((name) => outcomes[name] === 'escaped');
const held = (layer: string, detail: string): Layer => ({ layer, available: true, detail, howToGet: '' });
const lacks = (layer: string, detail: string, howToGet: string): Layer => ({ layer, available: false, detail, howToGet });
const cannotTell = (layer: string, detail: string): Layer => ({ ...lacks(layer, detail, lookAtHost), inDoubt: true });

export const judgeLayers = (findings: ProbeFindings): Layer[] => [
  judgeNamespaces(findings),
  judgeSeccomp(findings),
  judgeLimits(findings),
  judgePermission(findings),
  judgeParentDeath(findings),
  judgeUserns(findings),
  findings.ownUids
    ? held('own-uid', 'every child has an unprivileged uid of its own')
    : lacks(
        'own-uid',
        'children run under the uid of the service',
        'start the service as root with LATTICE_ALLOW_ROOT=1; isolated does not need it',
      ),
  findings.cgroup.offered
    ? held('cgroup', 'memory, pids and cpu are limited by cgroup v2')
    : lacks('cgroup', findings.cgroup.detail, findings.cgroup.howToGet),
  lacks('landlock', 'not offered by this version', 'nothing needs it: isolated covers what it would'),
];

/** Why a canary that says nothing proves nothing: what stopped it may pass. Null when it spoke, or when what kept it from speaking is a finding. */
function findDisturbance(attempt: CanaryAttempt): string | null {
  if (!isRun(attempt)) return attempt.mayPass ? attempt.notRun : null;
  if (attempt.timedOut) return 'the probe did not end within its deadline';
  if (outcomesOf(attempt)) return null;
  if (attempt.stderr.trim() === '') return 'the probe ended without a word';
  return isPassingFailure(attempt.stderr) ? `the host lacked the means: ${attempt.stderr.trim().slice(0, 200)}` : null;
}

/** What a canary did not reach proves something only when the sandbox stopped it, and when the target was there all the time. */
function findDoubt(run: WatchedRun, outcomes: Outcomes, names: readonly Attempt[]): string | null {
  const open = names.filter((name) => outcomes[name] !== 'escaped' && !isRefusal(outcomes[name]));
  if (open.length > 0) return `the probe could not be carried out: ${open.map((name) => `${name} (${outcomes[name]})`).join(', ')}`;
  return run.seen.fault === null ? null : `the probe proves nothing: ${run.seen.fault}`;
}

/** How a canary got out, by its own word, by what was seen of it here, or by what the kernel says. */
function findLeak(attempt: CanaryAttempt): string | null {
  if (!isRun(attempt)) return null;
  const outcomes = outcomesOf(attempt);
  const escaped = outcomes ? escapes(outcomes, outside) : [];
  if (escaped.length > 0) return `the probe got out: ${escaped.join(', ')}`;
  if (attempt.seen.reached) return 'the probe got out: its target was reached';
  const { kernel } = attempt;
  if (kernel && kernel.shared.length > 0) return `the caged process shares namespaces with the host: ${kernel.shared.join(', ')}`;
  return kernel && (kernel.capabilities || !kernel.noNewPrivs || kernel.uid === 0) ? 'the caged process kept privileges' : null;
}

function judgeNamespaces({ tools, caged, alone, readSetting }: ProbeFindings): Layer {
  if (tools.bwrap === null) return lacks('namespaces', 'bwrap is not installed', installBwrap);
  const both = [alone, caged];
  for (const attempt of both) {
    const leak = outcomesOf(attempt) || (isRun(attempt) && attempt.seen.reached) ? findLeak(attempt) : null;
    if (leak !== null) return lacks('namespaces', leak, reportThis);
  }
  for (const attempt of both) {
    const disturbance = findDisturbance(attempt);
    if (disturbance !== null) return cannotTell('namespaces', disturbance);
    if (!isRun(attempt)) return lacks('namespaces', attempt.notRun, installBwrap);
    const outcomes = outcomesOf(attempt);
    if (!outcomes) {
      const { detail, howToGet } = explainBwrapFailure(attempt.stderr, readSetting);
      return lacks('namespaces', detail, howToGet);
    }
    const doubt = findDoubt(attempt, outcomes, outside);
    if (doubt !== null) return cannotTell('namespaces', doubt);
  }
  return held('namespaces', 'network, files, processes and users are bwrap’s own');
}

function judgeSeccomp({ tools, alone }: ProbeFindings): Layer {
  if (tools.arch === null) return lacks('seccomp', 'there is no filter for this processor', 'run the service on x86_64 or aarch64');
  const outcomes = outcomesOf(alone);
  if (!outcomes || !isRun(alone)) {
    const disturbance = findDisturbance(alone);
    return disturbance === null
      ? lacks('seccomp', 'could not be tried without namespaces', installBwrap)
      : cannotTell('seccomp', disturbance);
  }
  const started = outcomes['start-program'];
  if (started === 'escaped' || alone.kernel?.seccomp === false)
    return lacks('seccomp', 'the filter did not hold', 'a kernel with CONFIG_SECCOMP_FILTER');
  return isRefusal(started)
    ? held('seccomp', 'system calls are limited to what the engine needs')
    : cannotTell('seccomp', `the probe could not be carried out: start-program (${started})`);
}

function judgeLimits({ tools, alone, restricted }: ProbeFindings): Layer {
  if (tools.prlimit === null) return lacks('resource-limits', 'prlimit is not installed', installUtilLinux);
  const hoarded = outcomesOf(alone)?.['hoard-descriptors'];
  // Without permission to open any file the restricted canary cannot try this one; that it ran at all shows that prlimit did.
  if (hoarded === 'EMFILE' || (hoarded === undefined && outcomesOf(restricted)))
    return held('resource-limits', 'memory, files, descriptors and processes are capped by rlimits');
  if (hoarded === 'escaped') return lacks('resource-limits', 'the limits did not hold', installUtilLinux);
  if (hoarded !== undefined) return cannotTell('resource-limits', `the probe could not be carried out: hoard-descriptors (${hoarded})`);
  const disturbance = findDisturbance(restricted);
  return disturbance === null
    ? lacks('resource-limits', 'the limits did not hold', installUtilLinux)
    : cannotTell('resource-limits', disturbance);
}

function judgePermission({ restricted }: ProbeFindings): Layer {
  const disturbance = findDisturbance(restricted);
  if (disturbance !== null) return cannotTell('node-permission', disturbance);
  if (!isRun(restricted)) return lacks('node-permission', restricted.notRun, installUtilLinux);
  const outcomes = outcomesOf(restricted);
  if (!outcomes)
    return lacks('node-permission', restricted.stderr.trim().split('\n')[0]?.slice(0, 300) || 'the probe did not run', installUtilLinux);
  const escaped = escapes(outcomes, byPermission);
  if (escaped.length > 0 || restricted.seen.reached)
    return lacks('node-permission', `the probe got out: ${escaped.join(', ') || 'its target was reached'}`, 'Node 26.5.1 or later');
  const doubt = findDoubt(restricted, outcomes, byPermission);
  return doubt === null
    ? held('node-permission', 'Node refuses files, network and programs; a seat belt, no cage')
    : cannotTell('node-permission', doubt);
}

function judgeParentDeath({ tools }: ProbeFindings): Layer {
  if (tools.setpriv === null) return lacks('parent-death', 'setpriv is not installed', installUtilLinux);
  if (tools.shell === null) return lacks('parent-death', 'there is no /bin/sh that root alone can change', 'apt-get install dash');
  return held('parent-death', 'the kernel kills every child with the service');
}

const judgeUserns = ({ caged, disableUserns }: ProbeFindings): Layer =>
  outcomesOf(caged) && disableUserns
    ? held('no-nested-namespaces', 'a child can create no user namespace')
    : lacks(
        'no-nested-namespaces',
        'only the system call filter keeps a child from creating namespaces',
        'a writable /proc/sys/user (under systemd: ReadWritePaths=/proc/sys/user)',
      );
