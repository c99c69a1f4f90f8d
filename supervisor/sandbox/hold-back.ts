import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { isTied, parentOf, type SandboxStatus } from './status.ts';

/**
 * Keeps back what a caged child cannot run without until the namespace's init is seen to end with its monitor. Whatever is killed before that
 * moment, the supervisor included, leaves processes that read to the end of a pipe, find nothing, and end by themselves. `streams` are those
 * pipes; the answer runs what it is given when the moment has come, at once if it has, and never when the monitor ended before.
 */
export function holdBack(monitor: ChildProcess, status: Readonly<SandboxStatus>, streams: readonly Duplex[]): (give: () => void) => void {
  let waiting: (() => void)[] = [];
  let state: 'held' | 'let go' | 'ended' = 'held';

  /** Its parent is asked as well: a pid that bwrap told may be another's by now. */
  function mayGo(): boolean {
    const { childPid } = status;
    return childPid !== null && monitor.pid !== undefined && parentOf(childPid) === monitor.pid && isTied(childPid);
  }

  /** The plugin's process is there, so its init has at most a few instructions to go. */
  function letGo(): void {
    if (state !== 'held') return;
    if (!mayGo()) return void setImmediate(letGo);
    state = 'let go';
    for (const give of waiting) give();
    waiting = []; // the listeners below live as long as the child, and a program may have 64 MiB
  }

  for (const stream of streams) stream.once('data', letGo);
  monitor.once('exit', () => {
    state = 'ended';
    waiting = [];
    for (const stream of streams) stream.destroy();
  });
  return (give) => {
    if (state === 'held') waiting.push(give);
    else if (state === 'let go') give();
  };
}
