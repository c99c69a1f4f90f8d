import { type CageRequest, type PlanDeps, planChild } from './plan-child.ts';
import type { Exit } from './runner.ts';
import { type Cell, type CellDeps, startInCell } from './sandbox/cell.ts';
import { type ContainedChild, createContainedChild } from './sandbox/contained-child.ts';
import type { LaunchPlan } from './sandbox/launch.ts';
import type { Level } from './sandbox/levels.ts';
import { type SpawnedChild, spawnPlan } from './sandbox/spawn-plan.ts';

/** One process in its cage, with all that it has to itself. */
export type CagedChild = {
  level: Level;
  limitsNotEnforced: LaunchPlan['limitsNotEnforced'];
  cell: Cell;
  child: SpawnedChild;
  contained: ContainedChild;
  /** Asked once, by whoever it serves: tells how it ended. */
  onExit(tell: (exit: Exit) => void): void;
};

export type CagedDeps = CellDeps & PlanDeps;

/** Spawns one. A throw means that nothing was started. */
export const spawnCaged = (deps: CagedDeps, request: CageRequest): Promise<CagedChild> =>
  startInCell(deps, request, (cell) => spawnIn(cell, deps, request));

/** A function of its own: what lives as long as the child must not hold the request, which may have an artifact of 64 MiB. */
function spawnIn(cell: Cell, deps: CagedDeps, request: CageRequest): CagedChild {
  const plan = planChild(deps, cell, request);
  const { level, limitsNotEnforced } = plan;
  const child = spawnPlan(plan);
  const contained = createContainedChild(child, cell.uid);
  return { level, limitsNotEnforced, cell, child, contained, onExit: contained.onExit };
}
