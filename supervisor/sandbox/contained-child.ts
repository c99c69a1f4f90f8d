import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { causeOfExit } from '../restart-policy.ts';
import type { Exit } from '../runner.ts';
import type { SpawnedChild } from './spawn-plan.ts';
import { findPluginProcess, identifyProcess, type ProcessId, parentOf, signalProcess } from './status.ts';
import { processesByUid } from './uids.ts';

const signalOf = (code: number): string | null =>
  Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0] ?? null;

/**
 * Signals and the end of one spawned child with everything it started. The kernel's answer to "who is this pid now" is asked before every
 * signal, so that a pid that was used again is never hit.
 */
export function createContainedChild(child: SpawnedChild, uid: number | null) {
  const pid = child.process.pid;
  if (pid === undefined) throw new Error('the child could not be started');
  const outer = identifyProcess(pid) ?? null;
  let inner: ProcessId | null = null; // the plugin itself inside the namespace
  let ended = false;
  let killing = false;

  /** The namespace's init while it is our monitor's child: bwrap told only a pid, which after its end may be anybody's. */
  function findInit(): ProcessId | null {
    const told = child.status?.childPid ?? null;
    if (ended || outer === null || told === null || parentOf(told) !== outer.pid) return null;
    return identifyProcess(told) ?? null;
  }

  function findInner(): ProcessId | null {
    if (child.status === null) return outer;
    const init = inner === null ? findInit() : null;
    if (init) inner = findPluginProcess(init.pid) ?? null;
    return inner;
  }

  const signal = (target: ProcessId | null, name: NodeJS.Signals): boolean => target !== null && signalProcess(target, name);

  /**
   * A monitor that is killed while it builds the cage leaves what it started in its own group. The number is ours until the leader has been
   * reaped, and after that while members are left; with a process of that number it is another's.
   */
  function killGroup(): void {
    if (outer === null || (ended && existsSync(`/proc/${outer.pid}`))) return;
    try {
      process.kill(-outer.pid, 'SIGKILL');
    } catch {
      signal(outer, 'SIGKILL'); // no group of its own yet, or no member left
    }
  }

  /** The group, and as root all that runs under the child's own uid: a member that left the group is still found. Never later than at the exit. */
  function sweep(): void {
    killGroup();
    if (uid === null) return;
    for (const straggler of processesByUid().get(uid) ?? []) signal(identifyProcess(straggler) ?? null, 'SIGKILL');
  }

  return {
    pid: (): number | null => findInner()?.pid ?? null,
    terminate(): void {
      child.stdin.end();
      if (!ended) signal(findInner() ?? outer, 'SIGTERM');
    },
    /** Kills the namespace's init, and with it all inside; the monitor then ends by itself, having reaped it. A second call spares nothing. */
    kill(): void {
      if (ended) return;
      const killed = !killing && signal(findInit(), 'SIGKILL');
      killing = true;
      if (child.status === null) sweep();
      else if (!killed) killGroup();
    },
    /** Calls back once, when the child's own process has ended (its pipes may be held by others), with what it ended by. */
    onExit(tell: (exit: Exit) => void): void {
      child.process.once('exit', (code: number | null, name: NodeJS.Signals | null) => {
        ended = true;
        sweep();
        void child.statusEnded.then(() => tell(describeExit(child, code, name)));
      });
    },
  };
}

export type ContainedChild = ReturnType<typeof createContainedChild>;

/** bwrap reports a plugin that a signal ended as 128 + number, and one that never began by naming no exit code. */
function describeExit(child: SpawnedChild, code: number | null, name: string | null): Exit {
  if (child.status === null || name !== null) return { cause: causeOfExit(code, name), code, signal: name, detail: '' };
  const signalName = code !== null && code > 128 ? signalOf(code) : null;
  // Killed from outside while it was being set up, by the OOM killer for one: a crash like any, which a restart may mend.
  if (child.status.exitCode === null && signalName !== 'SIGKILL' && signalName !== 'SIGTERM')
    return { cause: 'sandbox-failed', code, signal: null, detail: 'the sandbox could not be set up' };
  return { cause: causeOfExit(code, signalName), code: signalName === null ? code : null, signal: signalName, detail: '' };
}
