import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { isTied, parentOf, type SandboxStatus } from './status.ts';

/**
 * Keeps back what a caged child cannot run without until the namespace's init is seen to end with its monitor. Whatever is killed before that
 * moment, the supervisor included, leaves processes that read to the end of a pipe, find nothing, and end by themselves.
 */
export function holdBack(monitor: ChildProcess, status: Readonly<SandboxStatus>, held: readonly { stream: Duplex; bytes: Buffer }[]): void {
  const streams = held.map(({ stream }) => stream);
  let waiting = held;
  let ended = false;

  /** Its parent is asked as well: a pid that bwrap told may be another's by now. */
  function mayGo(): boolean {
    const { childPid } = status;
    return childPid !== null && monitor.pid !== undefined && parentOf(childPid) === monitor.pid && isTied(childPid);
  }

  /** The plugin's process is there, so its init has at most a few instructions to go. */
  function letGo(): void {
    if (ended) return;
    if (!mayGo()) return void setImmediate(letGo);
    for (const { stream, bytes } of waiting) stream.end(bytes);
    waiting = []; // the listeners below live as long as the child, and a program may have 64 MiB
  }

  for (const stream of streams) stream.once('data', letGo);
  monitor.once('exit', () => {
    ended = true;
    for (const stream of streams) stream.destroy();
  });
}
