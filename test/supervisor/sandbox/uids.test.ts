import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { childUids, createUidPool, processesByUid } from '../../../supervisor/sandbox/uids.ts';
import { testFolder } from '../../support/test-folder.ts';

const nobodyBusy = () => new Map<number, number[]>();

t.test('given no child, when uids are taken, then the lowest free one comes, and again after its release', async (t) => {
  const pool = createUidPool(nobodyBusy, 0);

  const [first, second, third] = [pool.take(), pool.take(), pool.take()];
  second.release();
  const again = pool.take();

  t.same([first.uid, second.uid, third.uid, again.uid], [60578, 60579, 60580, 60579]);
});

t.test('given a lease that is released twice, when others were taken meanwhile, then no uid is given to two children', async (t) => {
  const pool = createUidPool(nobodyBusy, 0);
  const first = pool.take();
  first.release();
  const second = pool.take();
  first.release();

  t.not(pool.take().uid, second.uid);
});

t.test('given a uid under which something still runs, when uids are taken, then it is passed over', async (t) => {
  const pool = createUidPool(() => new Map([[childUids.first, [4711]]]), 0);
  t.equal(pool.take().uid, childUids.first + 1);
});

t.test('given that all are taken, when one more is wanted, then it is refused with a way out, and none is 0', async (t) => {
  const pool = createUidPool(nobodyBusy, 0);
  const all = Array.from({ length: childUids.last - childUids.first + 1 }, () => pool.take().uid);

  t.throws(() => pool.take(), { code: 'unavailable', details: { hint: /stop plugins/ } });
  t.equal(new Set(all).size, all.length);
  t.ok(Math.min(...all) > 0);
});

t.test('given two services, when they take uids at the same moment, then they begin at different ones and stay in the range', async (t) => {
  t.not(createUidPool(nobodyBusy, 4711).take().uid, createUidPool(nobodyBusy, 4712).take().uid);
  const late = createUidPool(nobodyBusy, 605);
  t.same([late.take().uid, late.take().uid], [childUids.last, childUids.first]);
});

t.test('given processes of other users only, when the range is scanned, then nothing is found', async (t) => {
  const root = testFolder(t);
  mkdirSync(join(root, '17'));
  mkdirSync(join(root, 'self'));
  t.same([...processesByUid(root)], []);
});
