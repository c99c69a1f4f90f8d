import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { type ContainedChild, createContainedChild } from '../../../supervisor/sandbox/contained-child.ts';
import type { SpawnedChild } from '../../../supervisor/sandbox/spawn-plan.ts';

/**
 * Runs in a pid namespace of its own, where the next pid can be chosen: gives pids of a contained child that ended to bystanders, and says
 * which of them are still alive when the child was ended by every means.
 */
const start = (): ChildProcess => spawn('/bin/cat', { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** A process under a pid that was another's. */
async function startAs(pid: number): Promise<ChildProcess> {
  writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
  const child = start();
  await once(child, 'spawn');
  if (child.pid !== pid) throw new Error(`the bystander got pid ${child.pid}, not ${pid}`);
  return child;
}

const wrap = (process: ChildProcess, status: SpawnedChild['status']): SpawnedChild => ({
  process,
  result: null as never, // not read by a contained child
  stdin: process.stdin as Duplex & ChildProcess['stdin'] & object,
  stdout: process.stdout as NonNullable<ChildProcess['stdout']>,
  stderr: process.stdout as NonNullable<ChildProcess['stdout']>,
  status,
  deliver: () => {}, // it was given what it needs
  statusEnded: Promise.resolve(),
});

async function end(child: ChildProcess): Promise<number> {
  child.kill('SIGKILL');
  if (!hasEnded(child)) await once(child, 'exit');
  return child.pid ?? 0;
}

const bystanders: { name: string; process: ChildProcess }[] = [];

// The child itself ended, and its pid is a stranger's, who leads a group of that number.
for (const status of [null, { childPid: null, exitCode: 0 }]) {
  const child = start();
  const contained = createContainedChild(wrap(child, status), null);
  contained.onExit(() => {});
  bystanders.push({ name: `${status === null ? 'bare' : 'caged'} child`, process: await startAs(await end(child)) });
  useAllMeans(contained);
}

// The namespace's init ended, and its pid is a stranger's, while the monitor still runs and after it ended.
for (const monitorEnds of [false, true]) {
  const monitor = start();
  const init = start();
  const contained = createContainedChild(wrap(monitor, { childPid: init.pid ?? 0, exitCode: null }), null);
  contained.onExit(() => {});
  bystanders.push({ name: `init of a monitor that ${monitorEnds ? 'ended' : 'runs'}`, process: await startAs(await end(init)) });
  if (monitorEnds) await end(monitor);
  useAllMeans(contained);
  await end(monitor);
}

function useAllMeans(contained: ContainedChild): void {
  contained.pid();
  contained.terminate();
  contained.kill();
  contained.kill();
}

/** A signal that was sent shows before an answer that was asked for later, or instead of it. */
async function answers({ process }: { process: ChildProcess }): Promise<boolean> {
  if (hasEnded(process)) return false;
  process.stdin?.on('error', () => {}).write('alive');
  const [first] = await Promise.race([once(process.stdout as Duplex, 'data'), once(process, 'exit')]);
  await end(process);
  return String(first) === 'alive';
}

const said: [name: string, alive: boolean][] = [];
for (const bystander of bystanders) said.push([bystander.name, await answers(bystander)]);
process.stdout.write(JSON.stringify(said));
