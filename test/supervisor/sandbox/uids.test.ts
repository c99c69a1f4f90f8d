import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { childUids, createUidPool, processesByUid } from '../../../supervisor/sandbox/uids.ts';
import { testFolder } from '../../support/test-folder.ts';

const nobodyBusy = () => new Map<number, number[]>();
const openPool = (folder: string, start = 0) => createUidPool({ folder, owners: nobodyBusy, start });
const uidsOf = async (leases: Promise<{ uid: number }>[]) => (await Promise.all(leases)).map(({ uid }) => uid);

t.test('given no child, when uids are taken, then the lowest free one comes, and again after its release', async (t) => {
  const pool = openPool(testFolder(t));

  const [first, second, third] = [await pool.take(), await pool.take(), await pool.take()];
  second.release();
  const again = await pool.take();

  t.same([first.uid, second.uid, third.uid, again.uid], [60578, 60579, 60580, 60579]);
});

t.test('given a lease that is released twice, when others were taken meanwhile, then no uid is given to two children', async (t) => {
  const pool = openPool(testFolder(t));
  const first = await pool.take();
  first.release();
  const second = await pool.take();
  first.release();

  t.not((await pool.take()).uid, second.uid);
});

t.test('given a uid under which something still runs, when uids are taken, then it is passed over', async (t) => {
  const pool = createUidPool({ folder: testFolder(t), owners: () => new Map([[childUids.first, [4711]]]), start: 0 });
  t.equal((await pool.take()).uid, childUids.first + 1);
});

t.test(
  'given many starts in a row, when uids are taken, then the processes of the machine are looked at for each block, not for each uid',
  async (t) => {
    let looks = 0;
    const owners = () => {
      looks++;
      return nobodyBusy();
    };
    const pool = createUidPool({ folder: testFolder(t), owners, start: 0 });

    for (let n = 0; n < 60; n++) await pool.take();

    t.ok(looks <= 21, `${looks} looks`); // two for each of ten blocks, and one before the first
  },
);

t.test('given a uid that is released while something still runs under it, when uids are taken, then it is passed over', async (t) => {
  const busy = new Map<number, number[]>();
  const pool = createUidPool({ folder: testFolder(t), owners: () => busy, start: 0 });
  const lease = await pool.take();
  busy.set(lease.uid, [4711]);
  lease.release();

  t.not((await pool.take()).uid, lease.uid);
});

t.test('given two services that begin at the same place, when both take uids at once, then none is given twice', async (t) => {
  const folder = testFolder(t);
  const [one, other] = [openPool(folder), openPool(folder)];

  const uids = await uidsOf(Array.from({ length: 40 }, (_, n) => (n % 2 ? one : other).take()));

  t.equal(new Set(uids).size, 40);
  t.ok(Math.min(...uids) >= childUids.first && Math.max(...uids) <= childUids.last);
});

/** Another service, as far as uids go. */
async function startHolder(t: Test, folder: string, count: number) {
  const script = join(import.meta.dirname, '..', '..', 'support', 'take-uids.ts');
  const child = spawn('/usr/bin/env', ['-i', process.execPath, script, folder, String(count)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  while (!text.endsWith('\n')) await once(child.stdout, 'data');
  return {
    uids: JSON.parse(text) as number[],
    async kill(): Promise<void> {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

t.test('given two processes, when both hold uids and one is killed, then they shared none, and its uids are free at once', async (t) => {
  const folder = testFolder(t);
  const [one, other] = await Promise.all([startHolder(t, folder, 10), startHolder(t, folder, 10)]);
  t.equal(new Set([...one.uids, ...other.uids]).size, 20);

  await one.kill();

  const pool = openPool(folder);
  const uids = await uidsOf(Array.from({ length: 12 }, () => pool.take()));
  t.ok(one.uids.some((uid) => uids.includes(uid)));
  t.same(
    uids.filter((uid) => other.uids.includes(uid)),
    [],
  );
});

t.test('given that another service holds nearly all, when the rest is used up, then one more is refused with a way out', async (t) => {
  const folder = testFolder(t);
  await startHolder(t, folder, 600);
  const pool = openPool(folder);
  const rest = await uidsOf(Array.from({ length: 6 }, () => pool.take()));

  await t.rejects(pool.take(), { code: 'unavailable', details: { hint: /stop plugins or services/ } });
  t.same(rest, [61178, 61179, 61180, 61181, 61182, 61183]);
});

t.test('given a folder of claims that cannot be used, when a uid is taken, then none is given out unclaimed', async (t) => {
  await t.rejects(openPool(join(testFolder(t), 'absent')).take());
});

t.test('given processes of other users only, when the range is scanned, then nothing is found', async (t) => {
  const root = testFolder(t);
  mkdirSync(join(root, '17'));
  mkdirSync(join(root, 'self'));
  t.same([...processesByUid(root)], []);
});
