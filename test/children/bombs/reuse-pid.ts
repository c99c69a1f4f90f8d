import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { createContainedChild } from '../../../supervisor/sandbox/contained-child.ts';
import type { SpawnedChild } from '../../../supervisor/sandbox/spawn-plan.ts';
import { identifyProcess } from '../../../supervisor/sandbox/status.ts';

/**
 * Runs in a pid namespace of its own, where the next pid can be chosen: gives pids of a contained child that ended to bystanders, and says
 * which of them are still alive when the child was ended by every means.
 */
const start = (): ChildProcess => spawn('/bin/cat', { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
const isAlive = (pid: number): boolean => identifyProcess(pid) !== undefined;

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
  statusEnded: Promise.resolve(),
});

async function end(child: ChildProcess): Promise<number> {
  child.kill('SIGKILL');
  await once(child, 'exit');
  return child.pid ?? 0;
}

const said: Record<string, boolean> = {};
const bystanders: ChildProcess[] = [];

// The child itself ended, and its pid is a stranger's, who leads a group of that number.
for (const status of [null, { childPid: null, exitCode: 0 }]) {
  const child = start();
  const contained = createContainedChild(wrap(child, status), null);
  contained.onExit(() => {});
  const bystander = await startAs(await end(child));
  bystanders.push(bystander);
  contained.terminate();
  contained.kill();
  contained.kill();
  said[`outer, ${status === null ? 'bare' : 'caged'}`] = isAlive(bystander.pid ?? 0) && contained.pid() !== bystander.pid;
}

// The namespace's init ended, and its pid is a stranger's, while the monitor still runs and after it ended.
for (const monitorEnds of [false, true]) {
  const monitor = start();
  await once(monitor, 'spawn');
  const init = start();
  await once(init, 'spawn');
  const contained = createContainedChild(wrap(monitor, { childPid: init.pid ?? 0, exitCode: null }), null);
  contained.onExit(() => {});
  const bystander = await startAs(await end(init));
  bystanders.push(bystander);
  if (monitorEnds) await end(monitor);
  contained.terminate();
  contained.kill();
  contained.kill();
  said[`init, monitor ${monitorEnds ? 'ended' : 'runs'}`] = isAlive(bystander.pid ?? 0);
  if (!monitorEnds) await once(monitor, 'exit');
}

// A signal needs a turn of the kernel to show: the bystanders must still answer.
for (const bystander of bystanders) {
  bystander.stdin?.write('alive');
  const answer = await Promise.race([once(bystander.stdout as Duplex, 'data'), once(bystander, 'exit')]);
  said[`pid ${bystander.pid} answers`] = String(answer[0]) === 'alive';
  await end(bystander);
}
process.stdout.write(JSON.stringify(said));
