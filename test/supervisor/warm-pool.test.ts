import t from 'tap';
import type { CagedChild } from '../../supervisor/caged-child.ts';
import type { CageRequest } from '../../supervisor/plan-child.ts';
import type { Exit } from '../../supervisor/runner.ts';
import type { Level } from '../../supervisor/sandbox/levels.ts';
import { describeOwnNode, findTools } from '../../supervisor/sandbox/tools.ts';
import { createWarmPool, type Profile } from '../../supervisor/warm-pool.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createTestLaunch } from '../support/launch.ts';

const tools = await findTools(describeOwnNode());
const usual: Profile = { level: 'isolated', disableUserns: true, tools };
const launch = createTestLaunch(1);
const killed: Exit = { cause: 'signal', code: null, signal: 'SIGKILL', detail: '' };

type Made = { request: CageRequest; delivered: Buffer[]; kills: number; end(exit: Exit): Promise<void>; caged: CagedChild };

/** A pool whose children are played by the test. */
function open(size = 1) {
  const clock = createFakeClock();
  const made: Made[] = [];
  const lost: Exit[] = [];
  const host = { fails: false, isSlow: false };
  async function spawn(request: CageRequest): Promise<CagedChild> {
    if (host.fails) throw new Error('no uid is left');
    let tell: ((exit: Exit) => void) | null = null;
    const one: Made = {
      request,
      delivered: [],
      kills: 0,
      async end(exit) {
        tell?.(exit);
        await clock.advance(0);
      },
      caged: {
        level: request.level,
        limitsNotEnforced: [],
        cell: { uid: 60_600 + made.length, leaf: null, close: async (exit: Exit) => exit },
        child: { deliver: (bytes: Buffer) => one.delivered.push(bytes) } as never, // all that the pool asks of it
        contained: {
          kill() {
            one.kills++;
            if (!host.isSlow) void one.end(killed);
          },
        } as never,
        onExit: (owner) => {
          tell = owner;
        },
      },
    };
    made.push(one);
    return one.caged;
  }
  const pool = createWarmPool({ size, spawn, timers: clock, onLost: (exit) => lost.push(exit) });
  return { pool, clock, made, lost, host };
}

/** With as many waiting as it makes. */
async function openFilled(size = 1) {
  const all = open(size);
  t.equal(all.pool.take(usual, launch), null);
  await all.clock.advance(250);
  t.equal(all.pool.waiting(), size);
  return all;
}

t.test('given starts that follow each other, when none came for a while, then children are made, not before', async (t) => {
  const { pool, clock, made } = open(2);
  for (let start = 0; start < 5; start++) {
    pool.take(usual, launch);
    await clock.advance(200);
  }
  t.equal(made.length, 0);
  await clock.advance(50);
  t.equal(made.length, 2);
  t.match(made[0]?.request, { name: '_waiting-1', level: 'isolated', program: { engine: 'node', artifact: 'later' } });
});

t.test('given one that waits, when two plugins start, then one gets it with its artifact, once, and the other none', async (t) => {
  const { pool, made } = await openFilled();
  const artifact = Buffer.from('export default 7;');
  const taken = pool.take(usual, { ...launch, artifact });
  t.equal(taken?.child, made[0]?.caged.child);
  t.equal(pool.take(usual, launch), null);
  t.equal(made[0]?.delivered.length, 1);
  t.ok(made[0]?.delivered[0]?.includes(artifact));
});

t.test('given one that was taken, when it ends, then its owner hears of it, and the pool does not', async (t) => {
  const { pool, made, lost } = await openFilled();
  const heard: Exit[] = [];
  pool.take(usual, launch)?.onExit((exit) => heard.push(exit));
  await made[0]?.end(killed);
  t.same(heard, [killed]);
  t.same(lost, []);
});

t.test('given one that ends while it waits, when the next plugin starts, then it gets none, and another is made after it', async (t) => {
  const { pool, made, lost, clock } = await openFilled();
  await made[0]?.end(killed);
  t.same(lost, [killed]);
  await clock.advance(60_000);
  t.equal(made.length, 1, 'one that always ends is not made over and over');
  t.equal(pool.take(usual, launch), null);
  await clock.advance(250);
  t.equal(pool.waiting(), 1);
});

const changes: [name: string, profile: Profile][] = [
  ['another level', { ...usual, level: 'restricted' satisfies Level }],
  ['other walls', { ...usual, disableUserns: false }],
  ['tools that were looked up anew', { ...usual, tools: { ...tools } }],
];
for (const [name, profile] of changes) {
  t.test(`given one that waits, when a plugin needs ${name}, then that one is ended and never used`, async (t) => {
    const { pool, made, clock } = await openFilled();
    t.equal(pool.take(profile, launch), null);
    t.equal(made[0]?.kills, 1);
    await clock.advance(250);
    t.equal(pool.take(usual, launch), null);
    t.same(made[0]?.delivered, []);
  });
}

t.test('given a child that cannot be made, when plugins start, then they are told nothing of it', async (t) => {
  const { pool, host, clock } = open();
  host.fails = true;
  pool.take(usual, launch);
  await clock.advance(250);
  host.fails = false;
  t.equal(pool.take(usual, launch), null);
  await clock.advance(250);
  t.equal(pool.waiting(), 1);
});

t.test('given a pool that is closed, when plugins start, then none is given out or made, and those that waited have ended', async (t) => {
  const { pool, made, lost, clock } = await openFilled(3);
  await pool.close();
  t.same(
    made.map(({ kills }) => kills),
    [1, 1, 1],
  );
  t.same(lost, [], 'nobody needs to look into that');
  t.equal(pool.take(usual, launch), null);
  await clock.advance(1_000);
  t.equal(made.length, 3);
});

t.test('given one that was ended for its profile and is not gone yet, when the pool is closed, then it waits for that too', async (t) => {
  const { pool, made, host, clock } = await openFilled();
  host.isSlow = true;
  pool.take({ ...usual, level: 'restricted' }, launch);
  t.equal(pool.waiting(), 0, 'nobody can get it any more');
  let isClosed = false;
  const closed = pool.close().then(() => {
    isClosed = true;
  });
  await clock.advance(0);
  t.notOk(isClosed);

  await made[0]?.end(killed);

  await closed;
});

t.test('given a pool of none, when plugins start, then nothing is ever made', async (t) => {
  const { pool, made, clock } = open(0);
  pool.take(usual, launch);
  await clock.advance(1_000);
  t.equal(made.length, 0);
});
