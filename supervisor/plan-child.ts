import type { Resources } from '../protocol/manifest.ts';
import type { Cell } from './sandbox/cell.ts';
import { type LaunchPlan, type Program, planLaunch } from './sandbox/launch.ts';
import type { Level } from './sandbox/levels.ts';
import type { Tools } from './sandbox/tools.ts';

export type PlanDeps = { tools(): Tools; runnerBundle: Buffer; openDescriptors(): readonly number[] };
/** What a child of ours runs; the runner of a JS program is always the same. */
export type ChildProgram =
  | { engine: 'native'; artifact: Buffer }
  | { engine: 'node'; artifact: Buffer | 'later'; artifactSha256?: string; title: string };

export type CageRequest = {
  /** Of its cell. */
  name: string;
  level: Level;
  disableUserns: boolean;
  resources: Resources;
  program: ChildProgram;
};

/** What one process is spawned with, given what this process is at this moment. */
export function planChild(deps: PlanDeps, { uid, leaf }: Cell, { level, disableUserns, resources, program }: CageRequest): LaunchPlan {
  const whole: Program = program.engine === 'native' ? program : { ...program, runner: deps.runnerBundle };
  return planLaunch({
    level,
    tools: deps.tools(),
    resources,
    uid,
    disableUserns,
    ...(leaf ? { cgroupProcs: leaf.procsFile } : {}),
    launcher: { uid: process.getuid?.() ?? -1, pid: process.pid, openDescriptors: deps.openDescriptors() },
    program: whole,
  });
}
