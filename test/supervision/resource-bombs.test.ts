import t, { type Test } from 'tap';
import { defaultResources } from '../../protocol/manifest.ts';
import { compileNative, readBomb } from '../children/bombs/compile-native.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { allGone, findDescendants } from '../support/process-tree.ts';
import { openWorkshop, type RealRuntime } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const native = compileNative();
// Nothing but the cage keeps these from harming the machine: without it none of them runs.
const skip = workshop.level === 'isolated' ? false : 'the cage needs bwrap';
const skipNative = skip || (native === null && 'there is no C compiler with a static libc');
const resources = { ...defaultResources, memory_mib: 64, pids: 12 };

const neighbour = workshop.open(t, { id: 'test.neighbour', artifact: readBomb('bombs.js') });
if (!skip) await neighbour.arm();

function open(t: Test, artifact: string | Buffer) {
  const clock = createFakeClock();
  const others = new Set(findDescendants(process.pid).map(({ pid }) => pid));
  /** Its processes: the monitor, the namespace's init, and the plugin with all that it started. */
  const findOwn = () => findDescendants(process.pid).filter(({ pid }) => !others.has(pid));
  return { clock, real: workshop.open(t, { id: 'test.bomb', artifact, clock, launch: { resources } }), findOwn };
}

/** The other plugin answers while this happens and after it, and is still the process that it was. */
async function besides(t: Test, happening: Promise<unknown>): Promise<void> {
  let over = false;
  void happening.finally(() => {
    over = true;
  });
  const wrong: unknown[] = [];
  for (let call = 0; !over || call < 5; call++) {
    const answer = await neighbour.invoke('echo', call);
    if (answer !== call) wrong.push(answer);
  }
  await happening;
  t.same(wrong, [], 'the neighbour answers');
  t.match(neighbour.runtime.view(), { state: 'armed', generation: 1, pid: neighbour.pid() });
  t.same(neighbour.lastExit(), undefined);
}

/** Its next generation works. */
async function comesBack(t: Test, { real, clock }: { real: RealRuntime; clock: { advance(ms: number): Promise<void> } }): Promise<void> {
  await clock.advance(1_200);
  await real.until(() => real.runtime.state() === 'ready');
  t.ok(await real.invoke('echo', {}));
  t.match(real.runtime.view(), { state: 'armed', generation: 2, restarts: 1 });
}

t.test('given a plugin that fills its heap, when V8 gives up, then the cause is out-of-memory and it comes back', { skip }, async (t) => {
  const { real, clock } = open(t, readBomb('bombs.js'));
  await real.arm();

  await besides(t, t.rejects(real.invoke('heap'), { code: 'plugin-crashed' }));
  await real.reached('backoff', 0);

  t.match(real.lastExit(), { cause: 'out-of-memory', signal: 'SIGABRT' });
  t.match(real.runtime.view(), { state: 'restarting', pid: null, message: /out-of-memory/ });
  await comesBack(t, { real, clock });
});

// What is taken outside the heap is refused with an error that can be caught; V8 may also end the process, and then says why.
for (const kind of ['buffers', 'wasm']) {
  t.test(`given a plugin that hoards ${kind}, when the limit is met, then it is refused or ended as out of memory`, { skip }, async (t) => {
    const { real, clock } = open(t, readBomb('bombs.js'));
    await real.arm();
    const outcome = Promise.withResolvers<unknown>();
    real.invoke(kind).then(outcome.resolve, outcome.resolve);

    await besides(t, outcome.promise);

    const result = (await outcome.promise) as { code?: string; taken?: number };
    if (result.taken === undefined) {
      t.equal(result.code, 'plugin-crashed');
      await real.reached('backoff', 0);
      t.match(real.lastExit(), { cause: /^(out-of-memory|signal)$/, signal: /^SIG(ABRT|SEGV|TRAP|ILL)$/ });
      await comesBack(t, { real, clock });
    } else {
      t.ok(result.taken > 0 && result.taken < 256, `${result.taken} MiB`);
      t.equal(real.runtime.state(), 'ready');
    }
  });
}

const refusals = [
  { kind: 'descriptors', error: 'EMFILE', most: 64 },
  { kind: 'files', error: 'ENOSPC', most: defaultResources.tmp_mib },
  { kind: 'oneFile', error: 'EFBIG', most: defaultResources.tmp_mib },
];
for (const { kind, error, most } of refusals) {
  t.test(
    `given a plugin that takes ${kind} without end, when it is refused with ${error}, then it and its neighbour live on`,
    { skip },
    async (t) => {
      const { real } = open(t, readBomb('bombs.js'));
      await real.arm();
      const outcome = real.invoke(kind);

      await besides(t, outcome);

      t.match(await outcome, { refused: error });
      t.ok(((await outcome) as { taken: number }).taken <= most);
      t.equal(await real.invoke('echo', 'well'), 'well');
      t.match(real.runtime.view(), { state: 'armed', generation: 1 });
    },
  );
}

/** The runtime's own clock is moved past the last missed ping, the end of grace, and the backoff; the neighbours live in real time. */
async function isFoundHung(t: Test, { real, clock, findOwn }: ReturnType<typeof open>): Promise<void> {
  const own = findOwn();
  t.ok(own.some(({ pid }) => pid === real.pid()));
  await clock.advance(33_000);
  t.ok(['terminating', 'backoff'].includes(real.runtime.state()));
  await clock.advance(2_000);
  await real.reached('backoff', 0);
  t.match(real.lastExit(), { cause: 'hung', signal: /^SIG(KILL|TERM)$/ });
  await allGone(own);
  await comesBack(t, { real, clock });
}

t.test('given a plugin in a busy loop, when it misses its pings, then it is hung, killed, and comes back', { skip }, async (t) => {
  const { real, clock, findOwn } = open(t, readBomb('bombs.js'));
  await real.arm();
  const spinning = t.rejects(real.invoke('spin'), { code: 'plugin-crashed' });
  await real.heard('spinning');

  await besides(t, Promise.resolve());
  t.equal(real.runtime.state(), 'ready', 'busy alone is no reason');
  await isFoundHung(t, { real, clock, findOwn });

  await spinning;
  t.match(real.lastExit(), { signal: 'SIGKILL' });
});

t.test(
  'given a native fork bomb, when it may fork no more, then it is hung, killed with all it started, and comes back',
  { skip: skipNative },
  async (t) => {
    const { real, clock, findOwn } = open(t, native ?? '');
    await real.arm();
    const lost = t.rejects(real.invoke('forkBomb'), { code: 'plugin-crashed' });
    await real.heard('no more processes');
    const count = findOwn().length;
    t.ok(count > 3 && count <= resources.pids + 2, `${count} processes, monitor and init included`);

    await besides(t, Promise.resolve());
    await isFoundHung(t, { real, clock, findOwn });

    await lost;
  },
);

t.test(
  'given a native plugin with idle forks, when it is stopped, then the forks that ignore SIGTERM in their own session end',
  { skip: skipNative },
  async (t) => {
    const { real, findOwn } = open(t, native ?? '');
    await real.arm();
    const forks = Number(await real.invoke('idlers'));
    t.ok(forks > 0 && forks < resources.pids, `${forks} forks`);
    const tree = findOwn();
    t.ok(tree.length > forks);

    await besides(t, real.runtime.stop());

    await allGone(tree);
    t.match(real.lastExit(), { cause: 'stopped' });
  },
);

t.test(
  'given a native plugin that takes memory, when it is refused, then its abort is told as the signal',
  { skip: skipNative },
  async (t) => {
    const { real, clock } = open(t, native ?? '');
    await real.arm();

    await besides(t, t.rejects(real.invoke('memory'), { code: 'plugin-crashed' }));
    await real.reached('backoff', 0);

    t.match(real.lastExit(), { cause: 'signal', signal: 'SIGABRT', stderr_tail: [/^refused after \d\d MiB$/] });
    await comesBack(t, { real, clock });
  },
);
