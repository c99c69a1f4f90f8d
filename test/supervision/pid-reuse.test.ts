import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { createContainedChild } from '../../supervisor/sandbox/contained-child.ts';
import type { SpawnedChild } from '../../supervisor/sandbox/spawn-plan.ts';
import { childUids } from '../../supervisor/sandbox/uids.ts';
import { readBomb } from '../children/bombs/compile-native.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openWorkshop } from '../support/real-runtime.ts';

const workshop = await openWorkshop();

/** Every signal of this process is written down instead of sent, until the test ends. */
function recordSignals(t: Test): unknown[] {
  const sent: unknown[] = [];
  const { kill } = process;
  t.teardown(() => {
    process.kill = kill;
  });
  process.kill = (pid, signal) => {
    sent.push([pid, signal]);
    return true;
  };
  return sent;
}

async function startIdle(t: Test, uid?: number): Promise<ChildProcess> {
  const child = spawn('/bin/cat', {
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    detached: true,
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  await once(child, 'spawn');
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.stdin?.end();
    await once(child, 'exit');
  });
  return child;
}

const wrap = (child: ChildProcess, status: SpawnedChild['status']): SpawnedChild =>
  ({ process: child, stdin: child.stdin, status, statusEnded: Promise.resolve() }) as SpawnedChild; // all that a contained child reads

for (const caged of [false, true]) {
  t.test(
    `given a ${caged ? 'caged' : 'bare'} child that has ended, when it is ended by every means, then nobody is signalled`,
    async (t) => {
      const bystander = await startIdle(t);
      const child = await startIdle(t);
      // bwrap's word of a pid that is by now the bystander's.
      const contained = createContainedChild(wrap(child, caged ? { childPid: bystander.pid ?? 0, exitCode: 0 } : null), null);
      const ended = new Promise((resolve) => contained.onExit(resolve));
      child.stdin?.end();
      await ended;
      const sent = recordSignals(t);

      contained.terminate();
      contained.kill();
      contained.kill();

      t.same(sent, []);
      t.not(contained.pid(), bystander.pid);
    },
  );
}

const asRoot = process.getuid?.() === 0 ? false : 'only root gives children uids of their own';
t.test(
  'given a child that has ended, when its uid is another child’s and it is killed again, then the other is not',
  { skip: asRoot },
  async (t) => {
    const uid = childUids.last; // the pool gives it out last
    const child = await startIdle(t, uid);
    const contained = createContainedChild(wrap(child, null), uid);
    const ended = new Promise((resolve) => contained.onExit(resolve));
    child.stdin?.end();
    await ended;
    await startIdle(t, uid);
    const sent = recordSignals(t);

    contained.kill();
    contained.terminate();

    t.same(sent, []);
  },
);

t.test(
  'given a monitor whose word is a pid that is not its child, when it is ended, then only the monitor and its own group are signalled',
  async (t) => {
    const bystander = await startIdle(t);
    const monitor = await startIdle(t);
    const contained = createContainedChild(wrap(monitor, { childPid: bystander.pid ?? 0, exitCode: null }), null);
    const sent = recordSignals(t);

    contained.terminate();
    contained.kill();

    t.same(sent, [
      [monitor.pid, 'SIGTERM'],
      [-Number(monitor.pid), 'SIGKILL'],
    ]);
  },
);

const namespace = ['--kill-child', '--pid', '--fork', '--mount-proc'];
const chosen = spawnSync('/usr/bin/unshare', [...namespace, '/bin/sh', '-c', 'echo 300 > /proc/sys/kernel/ns_last_pid'], {
  stdio: 'ignore',
});
const noChoice = chosen.status === 0 ? false : 'the next pid can be chosen only by root, in a pid namespace of its own';
t.test(
  'given pids that really are used again, when the ended children are ended by every means, then the new owners live',
  { skip: noChoice },
  async (t) => {
    const script = fileURLToPath(new URL('../children/bombs/reuse-pid.ts', import.meta.url));

    const { stdout } = await promisify(execFile)('/usr/bin/unshare', [...namespace, '/usr/bin/env', '-i', process.execPath, script]);

    const said: [name: string, alive: boolean][] = JSON.parse(stdout);
    t.equal(said.length, 4);
    for (const [name, alive] of said) t.ok(alive, name);
  },
);

t.test('given an ended generation, when its handle is used while the next one runs, then the next one does not notice', async (t) => {
  const clock = createFakeClock();
  const real = workshop.open(t, { artifact: readBomb('prints.js'), clock });
  await real.arm();
  const first = real.run();
  process.kill(real.pid(), 'SIGKILL');
  await real.reached('backoff', 0);
  await clock.advance(1_200);
  await real.until(() => real.runtime.state() === 'ready');
  const { pid } = real.runtime.view();
  const sent = recordSignals(t);

  first.terminate();
  first.kill();
  const calls = [first.ping(), first.shutdown(), first.invoke('tool', 'echo', 1, { timeoutMs: 60_000 })];
  for (const call of calls) await t.rejects(call, { code: 'plugin-crashed' });

  t.same(sent, []);
  t.equal(await real.invoke('echo', 'well'), 'well');
  t.match(real.runtime.view(), { state: 'armed', generation: 2, pid });
});
