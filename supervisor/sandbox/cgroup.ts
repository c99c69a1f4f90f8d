import { constants } from 'node:fs';
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Resources } from '../../protocol/manifest.ts';
import type { Explanation } from './explain-failure.ts';

export type CgroupOffer = { offered: true; folder: string } | ({ offered: false } & Explanation);
type Where = { mounts?: readonly string[]; membership?: string };

// With both versions mounted the second one is `unified`, and holds only the controllers that the first did not take.
const usualMounts = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'] as const;
const needed = ['memory', 'pids', 'cpu'] as const;
const ask = 'run the service as a systemd unit with Delegate=yes on a host with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1)';

/** Whether the kernel gives this process a cgroup v2 subtree with the controllers that limits need. */
export async function detectCgroup({ mounts = usualMounts, membership = '/proc/self/cgroup' }: Where = {}): Promise<CgroupOffer> {
  const own = /^0::(\/.*)$/m.exec(await readText(membership))?.[1];
  if (own === undefined) return { offered: false, detail: 'this process is in no cgroup v2', howToGet: ask };
  let lacking: readonly string[] = needed;
  for (const mount of mounts) {
    const folder = join(mount, own);
    const controllers = (await readText(join(folder, 'cgroup.controllers'))).trim().split(/\s+/);
    lacking = needed.filter((name) => !controllers.includes(name));
    if (lacking.length > 0) continue;
    if (await isWritable(folder)) return { offered: true, folder };
    return { offered: false, detail: 'the cgroup of this process is not delegated to it', howToGet: ask };
  }
  return { offered: false, detail: `cgroup v2 does not offer the controllers ${lacking.join(', ')}`, howToGet: ask };
}

/** Makes room for leaves: a cgroup that hands controllers down may hold no process itself. */
export async function prepareCgroup(folder: string): Promise<void> {
  const leaf = join(folder, 'supervisor');
  await mkdir(leaf, { recursive: true });
  for (const pid of (await readText(join(folder, 'cgroup.procs'))).trim().split(/\s+/)) {
    if (pid !== '') await writeFile(join(leaf, 'cgroup.procs'), pid).catch(() => {}); // it ended meanwhile
  }
  await writeFile(join(folder, 'cgroup.subtree_control'), needed.map((name) => `+${name}`).join(' '));
}

/** Why the kernel ended a leaf's processes. */
export type CgroupEvents = { oomKills: number; forksRefused: number };
export type CgroupLeaf = {
  /** For `planLaunch`: who joins here is limited before it runs anything of the plugin. */
  procsFile: string;
  /** After the handshake: a share this small makes the start several times slower. */
  limitCpu(percent: number): Promise<void>;
  readEvents(): Promise<CgroupEvents>;
  isPopulated(): Promise<boolean>;
  /** Ends every process inside, however it has forked. */
  kill(): Promise<void>;
  remove(): Promise<void>;
};

/** One leaf a generation: `name` must be a file name, like `example.hello-7`. */
export async function createCgroupLeaf(
  parent: string,
  name: string,
  resources: Resources,
  removeFolder: (path: string) => Promise<void> = rmdir,
): Promise<CgroupLeaf> {
  const folder = join(parent, name);
  const write = (file: string, text: string) => writeFile(join(folder, file), text);
  await mkdir(folder);
  await write('memory.max', String(resources.memory_mib * 1024 * 1024));
  await write('memory.oom.group', '1'); // a plugin that lost one of its processes is of no use
  await write('memory.swap.max', '0').catch(() => {}); // a kernel without swap accounting has no such file
  await write('pids.max', String(resources.pids));
  return {
    procsFile: join(folder, 'cgroup.procs'),
    limitCpu: (percent) => write('cpu.max', `${percent * 1000} 100000`),
    async readEvents() {
      const memory = await readText(join(folder, 'memory.events'));
      const pids = await readText(join(folder, 'pids.events'));
      return { oomKills: readCount(memory, 'oom_kill'), forksRefused: readCount(pids, 'max') };
    },
    isPopulated: async () => readCount(await readText(join(folder, 'cgroup.events')), 'populated') > 0,
    kill: () => write('cgroup.kill', '1'),
    remove: () => removeFolder(folder),
  };
}

const readCount = (text: string, name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return ''; // what cannot be read is not offered
  }
}

async function isWritable(folder: string): Promise<boolean> {
  try {
    for (const name of ['', 'cgroup.procs', 'cgroup.subtree_control']) await access(join(folder, name), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
