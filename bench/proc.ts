import { readdirSync, readFileSync } from 'node:fs';

const ticksPerSecond = 100; // USER_HZ, which the kernel fixes for all that it tells of processor time

/** What a process has used of the processor so far, with all its threads. */
export function readCpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** The same to the microsecond, of the threads that there are now: for stretches of some milliseconds, in which none ends. */
export function readThreadsCpuUs(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [onCpuNs] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ');
    ns += Number(onCpuNs);
  }
  return ns / 1000;
}

/** MiB of memory by the kernel's own account: what is shared counts in part (`Pss`) or in full (`Rss`). Another user's process needs root. */
export function readMemory(pid: number): { pssMib: number; rssMib: number; privateMib: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? Number.NaN);
  const privateKib = kib('Private_Clean') + kib('Private_Dirty');
  return { pssMib: kib('Pss') / 1024, rssMib: kib('Rss') / 1024, privateMib: privateKib / 1024 };
}
