import t from 'tap';
import { createKeyedQueue } from '../../supervisor/keyed-queue.ts';
import { createStopList } from '../../supervisor/stop-list.ts';

t.test(
  'given jobs of one key and another, when they run, then one key’s follow each other, also after a failure, and keys do not wait',
  async (t) => {
    const queue = createKeyedQueue();
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = queue.run('a', async () => {
      await gate.promise;
      order.push('a1');
      throw new Error('no');
    });
    const second = queue.run('a', async () => order.push('a2'));
    await queue.run('b', async () => order.push('b1'));
    t.same(order, ['b1']);
    gate.resolve();
    await t.rejects(first, { message: 'no' });
    await second;
    t.same(order, ['b1', 'a1', 'a2']);
  },
);

t.test(
  'given things that were started, when they are stopped, then in reverse, once, all of them, and the first fault is told',
  async (t) => {
    const stops = createStopList();
    const order: number[] = [];
    stops.add(() => order.push(1));
    stops.add(() => Promise.reject(new Error('stuck')));
    stops.add(() => order.push(3));
    await t.rejects(stops.run(), { message: 'stuck' });
    await t.rejects(stops.run(), { message: 'stuck' });
    t.same(order, [3, 1]);
  },
);
