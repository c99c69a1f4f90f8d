import { readFileSync, readlinkSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import { type Outcomes, parseOutcomes } from './canary.ts';
import type { LaunchPlan } from './launch.ts';
import type { Seen } from './probe-target.ts';
import type { SpawnedChild } from './spawn-plan.ts';
import { findPluginProcess, identifyProcess, type ProcessId, signalProcess } from './status.ts';

export type CanaryRun = {
  /** Undefined when the canary did not come to speak. */
  outcomes: Outcomes | undefined;
  /** What the kernel says of the canary's process while it lives; undefined when it could not be asked. */
  kernel: KernelView | undefined;
  setUp: boolean;
  timedOut: boolean;
  stderr: string;
};
export type KernelView = {
  seccomp: boolean;
  noNewPrivs: boolean;
  capabilities: boolean;
  uid: number;
  /** Namespaces that it has in common with the supervisor. */
  shared: readonly string[];
};
export type WatchedRun = CanaryRun & { seen: Seen };
/** Or why nothing was run at all: a tool is missing, or, as may pass, the host had no process or descriptor left. */
export type CanaryAttempt = WatchedRun | { notRun: string; mayPass: boolean };
export const isRun = (attempt: CanaryAttempt): attempt is WatchedRun => !('notRun' in attempt);
export type CanaryDeps = { spawn(plan: LaunchPlan): SpawnedChild; clock: Clock; deadlineMs: number };

const mostOutput = 16 * 1024;

/** Starts one canary and waits for its line, its end or the deadline; when this returns, nothing of it runs. */
export async function runCanary(plan: LaunchPlan, { spawn, clock, deadlineMs }: CanaryDeps): Promise<CanaryRun> {
  const child = spawn(plan);
  const output = { stdout: '', stderr: '' };
  const keep = (name: keyof typeof output) => (chunk: Buffer) => {
    if (output[name].length < mostOutput) output[name] += chunk.toString();
  };
  child.stdout.on('data', keep('stdout'));
  child.stderr.on('data', keep('stderr'));
  child.stdin.on('error', () => {}); // it may have ended

  const ended = new Promise<void>((resolve) => child.process.once('close', resolve).once('error', resolve));
  const spoken = new Promise<void>((resolve) => child.stdout.on('data', () => output.stdout.includes('\n') && resolve()));
  let timedOut = false;
  const timer = clock.timer(deadlineMs, () => {
    timedOut = true;
    endNow(child);
  });
  await Promise.race([spoken, ended]);
  const kernel = readKernelView(child);
  child.stdin.end();
  await ended;
  timer.cancel();
  await child.statusEnded;
  const setUp = child.status === null || child.status.exitCode !== null || timedOut;
  return { outcomes: parseOutcomes(output.stdout), kernel, setUp, timedOut, stderr: output.stderr };
}

/** What bwrap names is the init of the namespace, or the canary itself where there is none. */
const pluginOf = (child: SpawnedChild): ProcessId | undefined => {
  const told = child.status?.childPid ?? null;
  return told === null ? undefined : (findPluginProcess(told) ?? identifyProcess(told));
};

function endNow(child: SpawnedChild): void {
  const plugin = pluginOf(child);
  if (plugin) signalProcess(plugin, 'SIGKILL');
  child.result.kill('SIGKILL');
}

function readKernelView(child: SpawnedChild): KernelView | undefined {
  try {
    const pid = child.status === null ? child.process.pid : pluginOf(child)?.pid;
    if (pid === undefined) return undefined;
    const rows = new Map(
      readFileSync(`/proc/${pid}/status`, 'latin1')
        .split('\n')
        .map((line) => line.split(':\t') as [string, string]),
    );
    return {
      seccomp: rows.get('Seccomp') === '2',
      noNewPrivs: rows.get('NoNewPrivs') === '1',
      capabilities: /[1-9a-f]/.test(`${rows.get('CapEff')}${rows.get('CapPrm')}`),
      uid: Number(rows.get('Uid')?.split('\t')[0] ?? Number.NaN),
      shared: namespaces.filter((name) => isShared(pid, name)),
    };
  } catch {
    return undefined; // it has ended already
  }
}

const namespaces = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts'];

function isShared(pid: number, name: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`) === readlinkSync(`/proc/self/ns/${name}`);
  } catch {
    return false; // a kernel that does not show it: then the canary's attempts are what there is to go by
  }
}
