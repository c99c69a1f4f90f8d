import { readdirSync } from 'node:fs';
import { identifyProcess, type ProcessId, parentOf } from '../../supervisor/sandbox/status.ts';
import { eventually } from './eventually.ts';

/** All that a process started, and what that started, each with the moment it began. */
export function findDescendants(root: number): ProcessId[] {
  const parents = readdirSync('/proc')
    .map(Number)
    .filter(Number.isInteger)
    .map((pid) => ({ pid, parent: parentOf(pid) }));
  const found: ProcessId[] = [];
  const search = (parent: number): void => {
    for (const { pid } of parents.filter((row) => row.parent === parent)) {
      const id = identifyProcess(pid);
      if (id) found.push(id);
      search(pid);
    }
  };
  search(root);
  return found;
}

export const isAlive = ({ pid, startTime }: ProcessId): boolean => identifyProcess(pid)?.startTime === startTime;

/** Waits until none of them is left; a pid that another process has by now does not count. */
export const allGone = (processes: readonly ProcessId[]): Promise<void> => eventually(() => !processes.some(isAlive));
