import type { Resources } from '../../protocol/manifest.ts';
import type { Exit } from '../runner.ts';
import type { CgroupLeaf } from './cgroup.ts';

export type CreateLeaf = (name: string, resources: Resources) => Promise<CgroupLeaf>;

export const notStarted: Exit = { cause: 'spawn-failed', code: null, signal: null, detail: '' };

/** Ends whatever is left in a child's cgroup and takes it away; an end that the kernel's memory limit caused is told as such. */
export async function closeLeaf(leaf: CgroupLeaf | null, exit: Exit): Promise<Exit> {
  if (leaf === null) return exit;
  const quiet = () => {}; // what cannot be read or removed must not keep an exit from being told
  const events = await leaf.readEvents().catch(quiet);
  await leaf.kill().catch(quiet);
  await leaf.remove().catch(quiet);
  return events && events.oomKills > 0 ? { ...exit, cause: 'out-of-memory', detail: 'the memory limit of its cgroup ended it' } : exit;
}
