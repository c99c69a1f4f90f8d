import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { HostError } from '../../protocol/errors.ts';
import type { Exit, Launch } from '../runner.ts';
import type { RunnerDeps } from '../runner-subprocess.ts';
import { type Cell, startInCell } from '../sandbox/cell.ts';
import { nameActionCell } from '../sandbox/cell-names.ts';
import { notStarted } from '../sandbox/cgroup-leaves.ts';
import { createContainedChild } from '../sandbox/contained-child.ts';
import { type LaunchPlan, planLaunch } from '../sandbox/launch.ts';
import type { Level } from '../sandbox/levels.ts';
import { spawnPlan } from '../sandbox/spawn-plan.ts';
import { readCageFiles } from './cage-files.ts';
import { type Action, type ActionDeps, runAction } from './run-action.ts';

export type ArmedDeps = Pick<
  RunnerDeps,
  'tools' | 'uids' | 'createLeaf' | 'chooseLevel' | 'suspectSandbox' | 'pipes' | 'clock' | 'openDescriptors'
>;
export type ActionProcess = Action & { pid(): number | null; kill(): void };
type Order = Pick<ActionDeps, 'request' | 'budget' | 'signal' | 'dispatch' | 'onOutput'> & { number: number };

export type Armed = {
  level: Level;
  limitsNotEnforced: LaunchPlan['limitsNotEnforced'];
  notes: readonly string[];
  spawn(order: Order): Promise<ActionProcess>;
};

/** Everything that can be known before an action: throws what would keep every one of them from starting. */
export async function arm(deps: ArmedDeps, launch: Launch): Promise<Armed> {
  if (launch.engine !== 'native')
    throw new HostError('sandbox-unavailable', 'only executables speak stdio-json-v1 here', { hint: 'bundle a static executable' });
  const { level, disableUserns } = await deps.chooseLevel('native', launch.hostRisk);
  const files = await readCageFiles(launch);
  const { artifact, entryPath, resources, plugin, generation } = launch;
  const inCell = <Started>(number: number, start: (cell: Cell) => Started | Promise<Started>): Promise<Started> =>
    startInCell(deps, { name: nameActionCell(plugin.id, generation, number), level, resources }, start);

  const plan = ({ uid, leaf }: Cell, responses: number): LaunchPlan =>
    planLaunch({
      ...{ level, tools: deps.tools(), resources, uid, disableUserns },
      ...(leaf ? { cgroupProcs: leaf.procsFile } : {}),
      launcher: { uid: process.getuid?.() ?? -1, pid: process.pid, openDescriptors: deps.openDescriptors() },
      program: { engine: 'native', artifact, action: { entryPath, files: files ?? [], responses } },
    });

  async function spawn(order: Order): Promise<ActionProcess> {
    const { readEnd, writeEnd } = await deps.pipes.take();
    const responses = new Socket({ fd: writeEnd, readable: false, writable: true });
    try {
      return await inCell(order.number, (cell) => {
        const child = spawnPlan(plan(cell, readEnd));
        const contained = createContainedChild(child, cell.uid);
        void cell.leaf?.limitCpu(resources.cpu_percent).catch(() => {}); // it has ended already
        const action = runAction({ ...order, pluginId: plugin.id, child, contained, responses, clock: deps.clock });
        const ended = action.ended.then(async ({ exit, crash }) => ({ exit: await cell.close(exit), crash }));
        return { ...action, ended, pid: contained.pid, kill: contained.kill };
      });
    } catch (error) {
      responses.destroy();
      throw error;
    } finally {
      closeSync(readEnd); // the plugin has its own: when it ends, nobody is left to read
    }
  }

  const trial = await inCell(0, async (cell) => {
    const { limitsNotEnforced } = plan(cell, 0);
    await cell.close(notStarted satisfies Exit);
    return limitsNotEnforced;
  });
  const notes = files === null ? ['(the other files of the bundle are too many or too large for its cage: the program stands alone)'] : [];
  return { level, limitsNotEnforced: trial, notes, spawn };
}
