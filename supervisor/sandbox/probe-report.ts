import type { Attempt, Outcomes } from './canary.ts';
import type { CgroupOffer } from './cgroup.ts';
import { explainBwrapFailure, type ReadSetting } from './explain-failure.ts';
import { type Layer, type Level, layersOf, levels } from './levels.ts';
import { type CanaryAttempt, isRun } from './run-canary.ts';
import type { Tools } from './tools.ts';

export type ProbeReport = {
  tools: Tools;
  available: Level;
  /** Whether bwrap's --disable-userns works here; goes into every launch. */
  disableUserns: boolean;
  layers: readonly Layer[];
  /** What each canary met, by its level. */
  outcomes: Readonly<Record<'isolated' | 'isolated, without --permission' | 'restricted', Outcomes | null>>;
};

export type ProbeFindings = {
  tools: Tools;
  cgroup: CgroupOffer;
  ownUids: boolean;
  readSetting: ReadSetting;
  caged: CanaryAttempt;
  alone: CanaryAttempt;
  restricted: CanaryAttempt;
  disableUserns: boolean;
  /** The supervisor's end saw a connection, or its file changed. */
  reached: boolean;
};

const installBwrap = 'apt-get install bubblewrap';
const installUtilLinux = 'apt-get install util-linux';
const outside: readonly Attempt[] = ['reach-loopback', 'read-host-file', 'write-host-file', 'read-proc', 'signal-supervisor'];
const byPermission: readonly Attempt[] = ['reach-loopback', 'read-host-file', 'write-host-file', 'read-proc', 'start-program'];

const outcomesOf = (run: CanaryAttempt): Outcomes | undefined => (isRun(run) && run.setUp ? run.outcomes : undefined);
const escapes = (outcomes: Outcomes, names: readonly Attempt[]): Attempt[] => names.filter((name) => outcomes[name] === 'escaped');
const held = (layer: string, detail: string): Layer => ({ layer, available: true, detail, howToGet: '' });
const lacks = (layer: string, detail: string, howToGet: string): Layer => ({ layer, available: false, detail, howToGet });

/** Turns what the canaries met into layers, and layers into the best level: a layer that was not seen to hold does not count. */
export function judgeProbe(findings: ProbeFindings): ProbeReport {
  const layers: Layer[] = [
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
  const available = new Set(layers.filter((row) => row.available).map((row) => row.layer));
  const best = levels.findLast((level) => layersOf[level].every((layer) => available.has(layer))) ?? 'none';
  return {
    tools: findings.tools,
    available: findings.tools.node.problem === null ? best : 'none',
    disableUserns: findings.disableUserns,
    layers,
    outcomes: {
      isolated: outcomesOf(findings.caged) ?? null,
      'isolated, without --permission': outcomesOf(findings.alone) ?? null,
      restricted: outcomesOf(findings.restricted) ?? null,
    },
  };
}

function judgeNamespaces({ tools, caged, alone, reached, readSetting }: ProbeFindings): Layer {
  if (tools.bwrap === null) return lacks('namespaces', 'bwrap is not installed', installBwrap);
  if (!isRun(alone)) return lacks('namespaces', alone.notRun, installBwrap);
  if (alone.timedOut)
    return lacks('namespaces', 'the probe did not end within its deadline', 'look at the load of the host, then run lattice doctor again');
  const outcomes = outcomesOf(alone);
  if (!outcomes || !outcomesOf(caged)) {
    const { detail, howToGet } = explainBwrapFailure(alone.stderr, readSetting);
    return lacks('namespaces', detail, howToGet);
  }
  const escaped = escapes(outcomes, outside);
  if (escaped.length > 0 || reached)
    return lacks(
      'namespaces',
      `the probe got out: ${escaped.join(', ') || 'its target was reached'}`,
      'report this with the output of lattice doctor --json',
    );
  const { kernel } = alone;
  if (kernel && (kernel.capabilities || !kernel.noNewPrivs || kernel.uid === 0))
    return lacks('namespaces', 'the caged process kept privileges', 'report this with the output of lattice doctor --json');
  return held('namespaces', 'network, files, processes and users are bwrap’s own');
}

function judgeSeccomp({ tools, alone }: ProbeFindings): Layer {
  if (tools.arch === null) return lacks('seccomp', 'there is no filter for this processor', 'run the service on x86_64 or aarch64');
  const outcomes = outcomesOf(alone);
  if (!outcomes || !isRun(alone)) return lacks('seccomp', 'could not be tried without namespaces', installBwrap);
  if (outcomes['start-program'] === 'escaped' || alone.kernel?.seccomp === false)
    return lacks('seccomp', 'the filter did not hold', 'a kernel with CONFIG_SECCOMP_FILTER');
  return held('seccomp', 'system calls are limited to what the engine needs');
}

function judgeLimits({ tools, alone, restricted }: ProbeFindings): Layer {
  if (tools.prlimit === null) return lacks('resource-limits', 'prlimit is not installed', installUtilLinux);
  const outcomes = outcomesOf(alone);
  // Without permission to open any file the restricted canary cannot try this one; that it ran at all shows that prlimit did.
  const works = outcomes ? outcomes['hoard-descriptors'] === 'EMFILE' : outcomesOf(restricted) !== undefined;
  return works
    ? held('resource-limits', 'memory, files, descriptors and processes are capped by rlimits')
    : lacks('resource-limits', 'the limits did not hold', installUtilLinux);
}

function judgePermission({ restricted }: ProbeFindings): Layer {
  const outcomes = outcomesOf(restricted);
  if (!outcomes) {
    const said = isRun(restricted) ? restricted.stderr.trim().split('\n')[0]?.slice(0, 300) : restricted.notRun;
    return lacks('node-permission', said || 'the probe did not run', installUtilLinux);
  }
  const escaped = escapes(outcomes, byPermission);
  return escaped.length > 0
    ? lacks('node-permission', `the probe got out: ${escaped.join(', ')}`, 'Node 26.5.1 or later')
    : held('node-permission', 'Node refuses files, network and programs; a seat belt, no cage');
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
