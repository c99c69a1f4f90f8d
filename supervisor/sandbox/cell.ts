import type { Resources } from '../../protocol/manifest.ts';
import type { Exit } from '../runner.ts';
import type { CgroupLeaf } from './cgroup.ts';
import { type CreateLeaf, closeLeaf, notStarted } from './cgroup-leaves.ts';
import type { Level } from './levels.ts';
import type { UidPool } from './uids.ts';

/** What one child has to itself outside its cage: a uid where the service is root, a cgroup where cgroup v2 is delegated. */
export type Cell = {
  uid: number | null;
  leaf: CgroupLeaf | null;
  /** Gives both back when the child has ended; an end by the memory limit is told as such. */
  close(exit: Exit): Promise<Exit>;
};
export type CellDeps = { uids: UidPool | null; createLeaf: CreateLeaf | null };

/** `name` is one of those of cell-names.ts. */
async function openCell(deps: CellDeps, request: { name: string; level: Level; resources: Resources }): Promise<Cell> {
  const lease = (await deps.uids?.take()) ?? null;
  try {
    const leaf = request.level === 'isolated+cgroup' ? ((await deps.createLeaf?.(request.name, request.resources)) ?? null) : null;
    return {
      uid: lease?.uid ?? null,
      leaf,
      async close(exit) {
        const attributed = await closeLeaf(leaf, exit);
        lease?.release();
        return attributed;
      },
    };
  } catch (error) {
    lease?.release();
    throw error;
  }
}

/** Starts something in a cell of its own; what cannot be started leaves none behind. */
export async function startInCell<Started>(
  deps: CellDeps,
  request: { name: string; level: Level; resources: Resources },
  start: (cell: Cell) => Started | Promise<Started>,
): Promise<Started> {
  const cell = await openCell(deps, request);
  try {
    return await start(cell);
  } catch (error) {
    await cell.close(notStarted);
    throw error;
  }
}
