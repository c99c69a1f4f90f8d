import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** What a running child uses, as the kernel tells. Null: it cannot be seen from here. */
export type Usage = {
  memory_mib: number | null;
  memory_most_mib: number | null;
  threads: number | null;
  cpu_ms: number | null;
  tmp_mib: number | null;
};

const ticksPerSecond = 100; // USER_HZ, the same on every Linux of our processors

export function readUsage(pid: number | null): Usage {
  const status = pid === null ? '' : readText(`/proc/${pid}/status`);
  const kib = (name: string): number | null => {
    const found = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1];
    return found === undefined ? null : Number(found);
  };
  const mib = (value: number | null) => (value === null ? null : Math.round((value / 1024) * 10) / 10);
  return {
    memory_mib: mib(kib('VmRSS')),
    memory_most_mib: mib(kib('VmHWM')),
    threads: kib('Threads'),
    cpu_ms: pid === null ? null : readCpuMs(pid),
    tmp_mib: pid === null ? null : readTmpMib(pid),
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // it has ended
  }
}

function readCpuMs(pid: number): number | null {
  const text = readText(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isNaN(ticks) ? null : (ticks * 1000) / ticksPerSecond;
}

/** Its own /tmp, seen through the kernel's door into its namespace; only root may look. */
function readTmpMib(pid: number): number | null {
  const root = join('/proc', String(pid), 'root', 'tmp');
  try {
    readdirSync(root);
    const { blocks, bfree, bsize } = statfsSync(root);
    return Math.ceil(((blocks - bfree) * bsize) / (1024 * 1024));
  } catch {
    return null;
  }
}
