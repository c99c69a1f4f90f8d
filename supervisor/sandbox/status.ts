import { readFileSync } from 'node:fs';

export type SandboxStatus = { childPid: number | null; exitCode: number | null };
const longestStatusBytes = 16 * 1024; // bwrap writes some 300 bytes

/**
 * Reads what bwrap says on its status descriptor: first the pid of the init process inside, later the plugin's exit code.
 * An end without an exit code means that the sandbox was never set up, or that the monitor was killed.
 */
export function createStatusReader() {
  const status: SandboxStatus = { childPid: null, exitCode: null };
  let rest = '';

  function readLine(line: string): void {
    try {
      const said = new Map(Object.entries(JSON.parse(line) ?? {}));
      const [pid, code] = [said.get('child-pid'), said.get('exit-code')];
      if (Number.isSafeInteger(pid)) status.childPid = Number(pid);
      if (Number.isSafeInteger(code)) status.exitCode = Number(code);
    } catch {
      // a torn last line of a monitor that was killed
    }
  }

  return {
    status: status as Readonly<SandboxStatus>,
    push(chunk: Buffer | string): void {
      if (rest.length > longestStatusBytes) return;
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') readLine(line);
    },
  };
}

/** A process and the moment it began, in ticks since boot: a pid alone may by now be another's. */
export type ProcessId = { pid: number; startTime: string };

export function identifyProcess(pid: number, procRoot = '/proc'): ProcessId | undefined {
  try {
    const text = readFileSync(`${procRoot}/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // the name before may itself hold spaces and brackets
    const startTime = fields[19];
    return startTime !== undefined && /^\d+$/.test(startTime) && fields[0] !== 'Z' ? { pid, startTime } : undefined;
  } catch {
    return undefined; // no such process
  }
}

/** The plugin itself: the first child of the init that bwrap runs inside the namespace. Undefined before it began and after it ended. */
export function findPluginProcess(childPid: number, procRoot = '/proc'): ProcessId | undefined {
  try {
    const pid = Number.parseInt(readFileSync(`${procRoot}/${childPid}/task/${childPid}/children`, 'latin1'), 10);
    return pid > 0 ? identifyProcess(pid, procRoot) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The pid of a process's parent; undefined when it has gone. A parent's own list of its children is no answer: one that is reaped while the
 * list is read can hide the next.
 */
export function parentOf(pid: number, procRoot = '/proc'): number | undefined {
  try {
    const text = readFileSync(`${procRoot}/${pid}/stat`, 'latin1');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/**
 * Whether the namespace's init ends with its monitor. It asks the kernel for that right before it puts the filter on itself, and only when
 * the cage stands and the plugin's process exists: until the filter shows, the end of the monitor would leave both behind.
 */
export function isTied(init: number, procRoot = '/proc'): boolean {
  try {
    return /^Seccomp:\t2$/m.test(readFileSync(`${procRoot}/${init}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/** Signals the process only while it is the one that was identified; false when it has gone or may not be signalled. */
export function signalProcess(
  target: ProcessId,
  signal: NodeJS.Signals,
  procRoot = '/proc',
  kill: typeof process.kill = process.kill,
): boolean {
  if (target.pid <= 1 || identifyProcess(target.pid, procRoot)?.startTime !== target.startTime) return false;
  try {
    return kill(target.pid, signal);
  } catch {
    return false;
  }
}
