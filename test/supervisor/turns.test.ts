import t from 'tap';
import { createWorkMeter, openShare } from '../../protocol/work.ts';
import { createTurns, type Pieces } from '../../supervisor/turns.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const never = new AbortController().signal;

/** Turns whose pieces the test ends one by one; `begun` tells the order. */
function open(perSecond = Number.POSITIVE_INFINITY) {
  const clock = createFakeClock();
  const share = { ...openShare, perSecond, burst: perSecond };
  const meters = new Map(['a', 'b', 'c'].map((owner) => [owner, createWorkMeter(clock, share)]));
  const turns = createTurns({ timers: clock, meterOf: (owner) => meters.get(owner) ?? createWorkMeter(clock, openShare) });
  const begun: string[] = [];
  const underWay: (() => void)[] = [];
  const pieces = (name: string, count: number, work = 0): Pieces<string> =>
    async function* run(spend) {
      for (let piece = 1; ; piece++) {
        begun.push(`${name}${piece}`);
        await new Promise<void>((resolve) => void underWay.push(resolve));
        spend(work);
        if (piece === count) return name;
        yield;
      }
    };
  return {
    clock,
    turns,
    begun,
    pieces,
    underWay,
    async endOne(): Promise<void> {
      underWay.shift()?.();
      await clock.advance(0);
    },
  };
}

t.test(
  'given one who asks for much and one who asks for little, when both wait, then they take turns, and each in its order',
  async (t) => {
    const { turns, begun, pieces, underWay, endOne } = open();
    const order: string[] = [];
    const run = (owner: string, name: string, count: number) =>
      turns.run(owner, never, pieces(name, count)).then((said) => void order.push(said));
    const all = [run('a', 'a', 3), run('a', 'A', 1), run('b', 'b', 2)];

    for (let piece = 0; piece < 6; piece++) {
      await endOne();
      t.ok(underWay.length <= 1, 'one at a time');
    }
    await Promise.all(all);

    t.same(begun, ['a1', 'b1', 'a2', 'b2', 'a3', 'A1']);
    t.same(order, ['b', 'a', 'A']);
  },
);

t.test('given an owner who has spent its share, when others wait, then they go on, and it does when it has something left', async (t) => {
  const { turns, begun, pieces, endOne, clock } = open(1000);
  const all = [turns.run('a', never, pieces('a', 2, 1500)), turns.run('b', never, pieces('b', 2, 100))];
  for (let piece = 0; piece < 3; piece++) await endOne();
  t.same(begun, ['a1', 'b1', 'b2']);
  await clock.advance(499);
  t.same(begun.length, 3);
  await clock.advance(2);
  t.same(begun, ['a1', 'b1', 'b2', 'a2']);
  await endOne();
  t.same(await Promise.all(all), ['a', 'b']);
  t.equal(clock.pending(), 0);
});

t.test(
  'given what waits or has begun, when it is given up, then it ends at once with the reason, and nothing more of it is done',
  async (t) => {
    const { turns, begun, pieces, endOne } = open();
    const [first, second] = [new AbortController(), new AbortController()];
    const one = turns.run('a', first.signal, pieces('a', 9));
    const two = turns.run('a', second.signal, pieces('A', 9));
    const other = turns.run('b', never, pieces('b', 1));
    second.abort(new Error('not needed'));
    await t.rejects(two, { message: 'not needed' });
    first.abort(new Error('gone'));
    await t.rejects(one, { message: 'gone' });

    await endOne();
    await endOne();

    t.equal(await other, 'b');
    t.same(begun, ['a1', 'b1']);
    await t.rejects(turns.run('a', first.signal, pieces('late', 1)), { message: 'gone' });
  },
);

t.test('given a piece that fails, when it was its turn, then whoever asked is told, and the next has its turn', async (t) => {
  const { turns, pieces, endOne } = open();
  // biome-ignore lint/correctness/useYield: it fails before there is anything to yield
  const failing = turns.run('a', never, async function* () {
    throw new Error('the disk');
  });
  const other = turns.run('a', never, pieces('b', 1));
  await t.rejects(failing, { message: 'the disk' });
  await endOne();
  t.equal(await other, 'b');
});
