import { readFileSync } from 'node:fs';
import { asHostError } from '../../protocol/errors.ts';
import { defaultResources } from '../../protocol/manifest.ts';
import type { Clock } from '../clock.ts';
import { buildCanary, type CanaryFacts } from './canary.ts';
import type { CgroupOffer } from './cgroup.ts';
import { openDescriptors } from './descriptors.ts';
import { isDisableUsernsFailure } from './explain-failure.ts';
import { planLaunch } from './launch.ts';
import type { Level } from './levels.ts';
import { judgeProbe, type ProbeReport } from './probe-report.ts';
import { openProbeTarget } from './probe-target.ts';
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

/** Runs the real recipe on a payload that attacks, with and without Node's own permission model, and says which layers held. */
export async function probeSandbox(deps: ProbeDeps): Promise<ProbeReport> {
  const target = await openProbeTarget();
  const attempt = (level: Level, permission: boolean, disableUserns: boolean) =>
    tryLevel(deps, target.facts, { level, permission, disableUserns });
  try {
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
    return judgeProbe({
      tools: deps.tools,
      cgroup: deps.cgroup,
      ownUids: deps.uids !== null,
      readSetting,
      caged,
      alone,
      restricted,
      disableUserns,
      reached: target.wasReached(),
    });
  } finally {
    await target.close();
  }
}

type Attempted = { level: Level; permission: boolean; disableUserns: boolean };

async function tryLevel(deps: ProbeDeps, facts: CanaryFacts, { level, permission, disableUserns }: Attempted): Promise<CanaryAttempt> {
  const { tools, uids } = deps;
  let lease: UidLease | null = null;
  try {
    lease = (await uids?.take()) ?? null;
    const program = level === 'isolated' ? '/rt/prlimit' : (tools.prlimit ?? '');
    const plan = planLaunch({
      level,
      permission,
      disableUserns,
      tools,
      resources: defaultResources,
      uid: lease?.uid ?? null,
      launcher: { uid: process.getuid?.() ?? -1, pid: process.pid, openDescriptors: openDescriptors() },
      program: { engine: 'node', ...buildCanary({ ...facts, program }), title: 'lattice probe' },
    });
    return await runCanary(plan, { spawn: deps.spawn ?? spawnPlan, clock: deps.clock, deadlineMs });
  } catch (error) {
    return { notRun: asHostError(error).message };
  } finally {
    lease?.release();
  }
}

function readSettingFile(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null; // this kernel has no such setting
  }
}
