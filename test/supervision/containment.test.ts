import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { identifyProcess, type ProcessId, parentOf } from '../../supervisor/sandbox/status.ts';
import { createUidPool } from '../../supervisor/sandbox/uids.ts';
import { readFault } from '../support/kill-steps.ts';
import { compilePlugin } from '../support/native-plugin.ts';
import { allGone, findDescendants, isAlive } from '../support/process-tree.ts';
import { openWorkshop, type RealRuntime } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const native = compilePlugin('faults/forker.c');
const skip =
  native === null ? 'there is no C compiler with a static libc' : workshop.level === 'isolated' ? false : 'native plugins need bwrap here';
const isRoot = process.getuid?.() === 0;

/** A native plugin with four processes of its own, and all of its processes with those of the cage. */
async function openScattered(t: Parameters<typeof workshop.open>[0]): Promise<{ real: RealRuntime; processes: ProcessId[] }> {
  const real = workshop.open(t, { artifact: native ?? '' });
  const before = new Set(findDescendants(process.pid).map(({ pid }) => pid));
  await real.arm();
  await real.invoke('scatter');
  await real.heard('scattered');
  return { real, processes: findDescendants(process.pid).filter(({ pid }) => !before.has(pid)) };
}

/** Each way in which a child ends, what is left to do then, and the outcome. */
const ends: Record<string, { end(real: RealRuntime): unknown; state: 'backoff' | 'stopped'; exit: Record<string, unknown> }> = {
  'is stopped': { end: (real) => real.runtime.command('stop'), state: 'stopped', exit: { cause: 'stopped' } },
  'leaves by itself': { end: (real) => void real.invoke('leave').catch(() => {}), state: 'backoff', exit: { cause: 'exit-code', code: 3 } },
  'is killed': { end: (real) => process.kill(real.pid(), 'SIGKILL'), state: 'backoff', exit: { cause: 'signal', signal: 'SIGKILL' } },
  'breaks the protocol': {
    end: (real) => real.runtime.condemn('protocol-violation', 'by order of the test'),
    state: 'backoff',
    exit: { cause: 'protocol-violation', signal: 'SIGKILL' },
  },
};

for (const [name, { end, state, exit }] of Object.entries(ends))
  t.test(`given a native plugin with children and daemons, when it ${name}, then all of them are gone with it`, { skip }, async (t) => {
    const { real, processes } = await openScattered(t);
    t.ok(processes.length >= 6, `the cage, the plugin and four of its own: ${processes.length}`);
    const neighbour = workshop.open(t, { id: 'example.neighbour', artifact: readFault('steps.js') });
    await neighbour.arm();

    await end(real);
    await real.reached(state, 0);

    await allGone(processes); // the kernel ends a namespace with its init, a moment after the exit that bwrap tells
    t.match(real.lastExit(), exit);
    t.equal(await neighbour.invoke('echo', 'next door'), 'next door');
  });

t.test('given a deaf, busy native plugin with daemons, when it is stopped, then all of them are gone in the end', { skip }, async (t) => {
  const { real, processes } = await openScattered(t);
  await real.invoke('deafen');
  const call = real.invoke('spin').catch(({ code }) => code);
  await real.heard('spinning');

  await real.runtime.stop();

  await allGone(processes);
  t.equal(await call, 'plugin-crashed');
  t.match(real.lastExit(), { cause: 'stopped', signal: 'SIGKILL' });
});

t.test('given a native plugin with daemons, when the supervisor is killed with SIGKILL, then nothing is left', { skip }, async (t) => {
  const host = spawn(process.execPath, [fileURLToPath(new URL('../support/host-one.ts', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => host.kill('SIGKILL'));
  await once(host.stdout, 'data');
  const processes = findDescendants(host.pid ?? 0);
  t.ok(processes.length >= 6, `${processes.length} processes`);

  host.kill('SIGKILL');
  await once(host, 'exit');

  await allGone(processes);
  t.pass('cage, plugin, children and daemons');
});

const bare = await openWorkshop('none');

for (const how of ['leaves by itself', 'is stopped'] as const)
  t.test(`given no cage and processes that hold its pipes, when a child ${how}, then that is seen and they are gone`, async (t) => {
    const real = bare.open(t, { artifact: readFault('parent.js') });
    await real.arm();
    const [inGroup, detached] = (await real.invoke('scatter')) as [number, number];
    const [first, second] = [inGroup, detached].map((pid) => identifyProcess(pid));
    t.teardown(() => second && isAlive(second) && process.kill(second.pid, 'SIGKILL'));
    t.ok(first && second, 'both run');

    if (how === 'is stopped') await real.runtime.stop();
    else {
      await t.rejects(real.invoke('leave'), { code: 'plugin-crashed' });
      await real.reached('backoff', 0);
      t.match(real.lastExit(), { cause: 'exit-code', code: 3 });
    }

    // Without root there is no uid to know a process by that left the group.
    await allGone([first, isRoot ? second : undefined].filter((id) => id !== undefined));
    t.equal(real.runtime.view().pid, null);
  });

t.test(
  'given two services on one machine, when a child of one is stopped, then its uid was no other child’s and the other goes on',
  { skip: isRoot ? false : 'only root gives out uids' },
  async (t) => {
    const samePlace = () => createUidPool({ start: 0 }); // both begin the search at the first uid
    const uidOf = (real: RealRuntime) => lstatSync(`/proc/${real.pid()}`).uid;
    for (const level of [workshop.level, 'restricted', 'none'] as const) {
      const [one, other] = [await openWorkshop(level, samePlace), await openWorkshop(level, samePlace)];
      const [ending, staying] = [one.open(t, { artifact: readFault('steps.js') }), other.open(t, { artifact: readFault('steps.js') })];
      await Promise.all([ending.arm(), staying.arm()]);
      t.not(uidOf(ending), uidOf(staying));

      await ending.runtime.stop();

      t.equal(await staying.invoke('echo', 'still here'), 'still here', level);
      t.same(staying.entered, ['starting', 'ready']);
    }
  },
);

t.test('given a caged plugin, when its monitor’s limits are read, then no core file can hold the program', { skip }, async (t) => {
  const real = workshop.open(t, { artifact: native ?? '' });
  await real.arm();

  const init = parentOf(real.pid()) ?? 0;
  const monitor = parentOf(init) ?? 0;

  t.equal(parentOf(monitor), process.pid);
  for (const pid of [monitor, init, real.pid()]) t.match(readFileSync(`/proc/${pid}/limits`, 'latin1'), /^Max core file size +0 +0 /m);
});
