import t from 'tap';
import { createStartGate } from '../../supervisor/start-gate.ts';
import { createFakeClock } from '../support/fake-clock.ts';

/** A gate for two, and who came through it so far. */
function openGate() {
  const clock = createFakeClock();
  const gate = createStartGate({ most: 2, holdMostMs: 1_000, timers: clock });
  const through: string[] = [];
  const leaves = new Map<string, () => void>();
  const enter = (name: string) =>
    gate.enter().then((leave) => {
      through.push(name);
      leaves.set(name, leave);
    });
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { clock, through, enter, settle, leave: (name: string) => leaves.get(name)?.() };
}

t.test('given a gate for two, when four come, then two go in, and each that leaves lets the next in, in order', async (t) => {
  const { enter, leave, through, settle } = openGate();
  for (const name of ['a', 'b', 'c', 'd']) void enter(name);
  await settle();
  t.same(through, ['a', 'b']);

  leave('b');
  await settle();

  t.same(through, ['a', 'b', 'c']);
  leave('a');
  await settle();
  t.same(through, ['a', 'b', 'c', 'd']);
});

t.test('given one who leaves, when it leaves again, then nobody more goes in', async (t) => {
  const { enter, leave, through, settle } = openGate();
  for (const name of ['a', 'b', 'c', 'd']) void enter(name);
  await settle();

  leave('a');
  leave('a');
  await settle();

  t.same(through, ['a', 'b', 'c']);
});

t.test('given two that hang inside, when their time is over, then the next go in, and what they do later counts for nothing', async (t) => {
  const { clock, enter, leave, through, settle } = openGate();
  for (const name of ['a', 'b', 'c', 'd', 'e']) void enter(name);
  await settle();

  await clock.advance(1_000);
  await settle();

  t.same(through, ['a', 'b', 'c', 'd']);
  leave('a');
  leave('b');
  await settle();
  t.same(through, ['a', 'b', 'c', 'd']);
});
