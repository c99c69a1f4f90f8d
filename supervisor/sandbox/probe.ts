import { readFileSync } from 'node:fs';
import { asHostError, HostError } from '../../protocol/errors.ts';
import { defaultResources } from '../../protocol/manifest.ts';
import type { Clock } from '../clock.ts';
import { buildCanary } from './canary.ts';
import type { CgroupOffer } from './cgroup.ts';
import { openDescriptors } from './descriptors.ts';
import { isDisableUsernsFailure } from './explain-failure.ts';
import { planLaunch } from './launch.ts';
import type { Level } from './levels.ts';
import { judgeProbe, type ProbeReport } from './probe-report.ts';
import { openProbeTarget, type ProbeTarget, removeStaleTargets } from './probe-target.ts';
import { type CanaryAttempt, isRun, runCanary } from './run-canary.ts';
import { spawnPlan } from './spawn-plan.ts';
import type { Tools } from './tools.ts';
import type { UidLease, UidPool } from './uids.ts';

const deadlineMs = 10_000;

export type ProbeDeps = {
  tools: Tools;
  clock: Clock;
  /** As root: where the canaries get their uids. */
  uids: UidPool | null;
  cgroup: CgroupOffer;
  spawn?: typeof spawnPlan;
  readSetting?: (path: string) => string | null;
};

/** As long as what kept it from telling passes quickly, the probe is repeated at once. */
const roundsMost = 3;

/** Runs the real recipe on a payload that attacks, with and without Node's own permission model, and says which layers held. */
export async function probeSandbox(deps: ProbeDeps): Promise<ProbeReport> {
  const { clock, uids } = deps;
  const until = clock.monotonicMs() + deadlineMs;
  await removeStaleTargets(uids !== null, clock.wallMs());
  for (let round = 1; ; round++) {
    const report = await probeOnce(deps);
    if (report.possible === report.available || round === roundsMost || clock.monotonicMs() >= until) return report;
  }
}

async function probeOnce(deps: ProbeDeps): Promise<ProbeReport> {
  const attempt = (level: Level, permission: boolean, disableUserns: boolean) => tryLevel(deps, { level, permission, disableUserns });
  let disableUserns = true;
  let [caged, alone, restricted] = await Promise.all([
    attempt('isolated', true, disableUserns),
    attempt('isolated', false, disableUserns),
    attempt('restricted', true, disableUserns),
  ]);
  if (isRun(caged) && !caged.setUp && isDisableUsernsFailure(caged.stderr)) {
    disableUserns = false;
    [caged, alone] = await Promise.all([attempt('isolated', true, disableUserns), attempt('isolated', false, disableUserns)]);
  }
  const readSetting = deps.readSetting ?? readSettingFile;
  const { tools, cgroup } = deps;
  return judgeProbe({ tools, cgroup, ownUids: deps.uids !== null, readSetting, caged, alone, restricted, disableUserns });
}

type Attempted = { level: Level; permission: boolean; disableUserns: boolean };

async function tryLevel(deps: ProbeDeps, { level, permission, disableUserns }: Attempted): Promise<CanaryAttempt> {
  const { tools, uids, clock } = deps;
  let lease: UidLease | null = null;
  let target: ProbeTarget | null = null;
  try {
    lease = (await uids?.take()) ?? null;
    target = await openProbeTarget(lease?.uid ?? null, { clock });
    const program = level === 'isolated' ? '/rt/prlimit' : (tools.prlimit ?? '');
    const plan = planLaunch({
      level,
      permission,
      disableUserns,
      tools,
      resources: defaultResources,
      uid: lease?.uid ?? null,
      launcher: { uid: process.getuid?.() ?? -1, pid: process.pid, openDescriptors: openDescriptors() },
      program: { engine: 'node', ...buildCanary({ ...target.facts, program }), title: 'lattice probe' },
    });
    const run = await runCanary(plan, { spawn: deps.spawn ?? spawnPlan, clock, deadlineMs });
    return { ...run, seen: await target.look(run.outcomes) };
  } catch (error) {
    // Only what is missing is refused by this word; whatever else went wrong, no process to be had for one, may pass.
    const mayPass = !(error instanceof HostError && error.code === 'sandbox-unavailable');
    return { notRun: describeFailure(error), mayPass };
  } finally {
    lease?.release();
    await target?.close();
  }
}

/** The kernel's word for it says more than that something went wrong. */
const describeFailure = (error: unknown): string =>
  error instanceof Error && 'code' in error && !(error instanceof HostError)
    ? `the probe could not be started (${String(error.code)})`
    : asHostError(error).message;

function readSettingFile(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null; // this kernel has no such setting
  }
}
