import { readFileSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import { type Outcomes, parseOutcomes } from './canary.ts';
import type { LaunchPlan } from './launch.ts';
import type { SpawnedChild } from './spawn-plan.ts';
import { findPluginProcess, type ProcessId, signalProcess } from './status.ts';

export type CanaryRun = {
  /** Undefined when the canary did not come to speak. */
  outcomes: Outcomes | undefined;
  /** What the kernel says of the canary's process while it lives; undefined when it could not be asked. */
  kernel: KernelView | undefined;
  setUp: boolean;
  timedOut: boolean;
  stderr: string;
};
export type KernelView = { seccomp: boolean; noNewPrivs: boolean; capabilities: boolean; uid: number };
/** Or why nothing was run at all: a tool is missing. */
export type CanaryAttempt = CanaryRun | { notRun: string };
export const isRun = (attempt: CanaryAttempt): attempt is CanaryRun => !('notRun' in attempt);
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

const pluginOf = (child: SpawnedChild): ProcessId | undefined => {
  if (child.status === null) return undefined;
  return child.status.childPid === null ? undefined : findPluginProcess(child.status.childPid);
};

function endNow(child: SpawnedChild): void {
  const plugin = pluginOf(child);
  if (plugin) signalProcess(plugin, 'SIGKILL');
  child.result.kill('SIGKILL');
}

function readKernelView(child: SpawnedChild): KernelView | undefined {
  try {
    const pid = pluginOf(child)?.pid ?? child.process.pid;
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
    };
  } catch {
    return undefined; // it has ended already
  }
}
