import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Duplex, Readable, Writable } from 'node:stream';
import { execa, type ResultPromise } from 'execa';
import { holdBack } from './hold-back.ts';
import type { ExtraDescriptor, LaunchPlan } from './launch.ts';
import { createStatusReader, type SandboxStatus } from './status.ts';

export type SpawnedChild = {
  /** Its `exit` event is the end of the child; `close` may wait for whoever else holds a pipe. */
  process: ChildProcess;
  /** Execa's own view: how it ended, with `kill` for the whole process group. */
  result: ResultPromise;
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** bwrap's reports as far as they came; null for a child without bwrap, whose own pid is the plugin's. */
  status: Readonly<SandboxStatus> | null;
  /** When all of them came. The exit may be told before; without an exit code among them the sandbox was not set up. */
  statusEnded: Promise<void>;
  /** Gives a child that was planned without an artifact the one it gets. */
  deliver(artifact: Buffer): void;
};

/** Starts what was planned. Call it on the main thread only: the kernel's parent-death signal watches the thread that forked. */
export function spawnPlan(plan: LaunchPlan): SpawnedChild {
  const plugs = plan.plug.length > 0 ? openSync('/dev/null', 'r') : -1;
  try {
    const child = execa(plan.file, [...plan.args], {
      env: {},
      extendEnv: false,
      cwd: '/',
      stdio: arrangeStdio(plan, plugs),
      buffer: false,
      reject: false,
      stripFinalNewline: false,
      killDescendants: true, // a process group of its own, so that a signal reaches every member
    });
    return connect(plan, child as ResultPromise); // the options only narrow the type of its result
  } finally {
    if (plugs >= 0) closeSync(plugs);
  }
}

type Extra = 'pipe' | 'ignore' | 3 | { value: 'pipe'; input: true };

function arrangeStdio(plan: LaunchPlan, plugs: number): ['pipe', 'pipe', 'pipe', ...Extra[]] {
  const last = Math.max(2, ...plan.stdio.map(({ fd }) => fd), ...plan.plug);
  const extra = Array.from({ length: last - 2 }, (): Extra => 'ignore');
  // 'ignore' leaves a descriptor above stderr as it is. Any number will do; execa declares only the single digits.
  for (const fd of plan.plug) extra[fd - 3] = plugs as 3;
  for (const each of plan.stdio) extra[each.fd - 3] = arrangeOne(each);
  return ['pipe', 'pipe', 'pipe', ...extra];
}

function arrangeOne(extra: ExtraDescriptor): Extra {
  if (extra.kind === 'handed over') return extra.source as 3;
  return extra.kind === 'status' ? 'pipe' : { value: 'pipe', input: true };
}

function connect(plan: LaunchPlan, child: ResultPromise): SpawnedChild {
  const { stdin, stdout, stderr } = child;
  if (!stdin || !stdout || !stderr) throw new Error('a child was spawned without pipes');
  let status: Readonly<SandboxStatus> | null = null;
  const held: Duplex[] = [];
  const gifts: (() => void)[] = [];
  let open: Duplex | undefined;
  let statusEnded = Promise.resolve();
  for (const extra of plan.stdio) {
    if (extra.kind === 'handed over') continue;
    const stream = child.stdio[extra.fd] as Duplex | undefined; // every pipe above stderr is a socket, open both ways
    stream?.on('error', () => {}); // the child may end before it has read: its exit says why
    if (extra.kind === 'status') {
      const reader = createStatusReader();
      status = reader.status;
      stream?.on('data', reader.push);
      statusEnded = new Promise((resolve) => stream?.once('close', resolve));
    } else {
      const { bytes, isOpen = false } = extra;
      if (isOpen) open = stream;
      const gift = () => (isOpen ? stream?.write(bytes) : stream?.end(bytes));
      if (extra.kind === 'data') {
        gift();
        stream?.resume();
      } else if (stream) {
        held.push(stream);
        gifts.push(gift);
      }
    }
  }
  const give = status === null ? (gift: () => void) => gift() : holdBack(child.nodeChildProcess, status, held);
  gifts.forEach(give);
  const deliver = (artifact: Buffer): void => give(() => open?.end(artifact));
  if (plan.delivery !== null) deliver(plan.delivery);
  return { process: child.nodeChildProcess, result: child, stdin, stdout, stderr, status, statusEnded, deliver };
}
