import type { Launch } from './runner.ts';
import type { Cell } from './sandbox/cell.ts';
import { type LaunchPlan, planLaunch } from './sandbox/launch.ts';
import type { Level } from './sandbox/levels.ts';
import type { Tools } from './sandbox/tools.ts';

export type ChildStart = {
  launch: Launch;
  engine: 'node' | 'native';
  level: Level;
  disableUserns: boolean;
  cell: Cell;
};

/** What one generation of a plugin is spawned with, given what this process is at this moment. */
export function planChild(
  deps: { tools(): Tools; runnerBundle: Buffer; openDescriptors(): readonly number[] },
  start: ChildStart,
): LaunchPlan {
  const { launch, engine, level, disableUserns } = start;
  const { uid, leaf } = start.cell;
  const { artifact, artifactSha256 } = launch;
  return planLaunch({
    level,
    tools: deps.tools(),
    resources: launch.resources,
    uid,
    disableUserns,
    ...(leaf ? { cgroupProcs: leaf.procsFile } : {}),
    launcher: { uid: process.getuid?.() ?? -1, pid: process.pid, openDescriptors: deps.openDescriptors() },
    program:
      engine === 'native'
        ? { engine: 'native', artifact }
        : { engine: 'node', runner: deps.runnerBundle, artifact, artifactSha256, title: `lattice plugin ${launch.plugin.id}` },
  });
}
