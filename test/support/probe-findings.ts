import { attempts, type Outcomes } from '../../supervisor/sandbox/canary.ts';
import type { ProbeFindings } from '../../supervisor/sandbox/judge-layers.ts';
import type { WatchedRun } from '../../supervisor/sandbox/run-canary.ts';
import type { Tools } from '../../supervisor/sandbox/tools.ts';

export const blocked = Object.fromEntries(Object.keys(attempts).map((name) => [name, 'EPERM'])) as Outcomes; // every name is there
export const good: WatchedRun = {
  outcomes: { ...blocked, 'hoard-descriptors': 'EMFILE' },
  kernel: { seccomp: true, noNewPrivs: true, capabilities: false, uid: 60578, shared: [] },
  seen: { reached: false, fault: null },
  setUp: true,
  timedOut: false,
  stderr: '',
};
export const foundTools: Tools = {
  bwrap: '/b',
  prlimit: '/p',
  setpriv: '/s',
  shell: '/sh',
  env: '/env',
  prlimitLibraries: [],
  shellLibraries: [],
  node: { path: '/n', libraries: [], problem: null },
  arch: 'x64',
};
export const findings = (change: Partial<ProbeFindings> = {}): ProbeFindings => ({
  tools: foundTools,
  cgroup: { offered: false, detail: 'no cgroup v2', howToGet: 'Delegate=yes' },
  ownUids: true,
  readSetting: () => null,
  caged: good,
  alone: good,
  restricted: good,
  disableUserns: true,
  ...change,
});
