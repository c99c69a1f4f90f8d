import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { placeNode } from '../../../supervisor/sandbox/place-node.ts';
import { isReachableByOthers } from '../../../supervisor/sandbox/trusted-path.ts';

function plant(t: Test) {
  const root = mkdtempSync(join(tmpdir(), 'lattice-place-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  chmodSync(root, 0o755);
  mkdirSync(join(root, 'private'), { mode: 0o700 });
  const node = join(root, 'private/node');
  writeFileSync(node, 'a runtime', { mode: 0o755 });
  return { node, runtimes: join(root, 'runtimes') };
}

t.test(
  'given a Node in a private folder, when it is placed, then everybody can reach the copy and only its owner can change it',
  async (t) => {
    const { node, runtimes } = plant(t);
    t.equal(isReachableByOthers(node), false);

    const placed = await placeNode(node, runtimes);

    t.equal(readFileSync(placed, 'utf8'), 'a runtime');
    t.equal(isReachableByOthers(placed), true);
    t.equal(statSync(placed).mode & 0o777, 0o755);
    t.equal(statSync(join(placed, '..')).mode & 0o777, 0o755);
  },
);

t.test('given a copy that is there, when Node is placed again, then it is used as it is', async (t) => {
  const { node, runtimes } = plant(t);
  const first = await placeNode(node, runtimes);
  const { ino } = statSync(first);

  t.equal(await placeNode(node, runtimes), first);
  t.equal(statSync(first).ino, ino);
  t.equal(readdirSync(runtimes).length, 1);
});

t.test('given another Node in the same place, when it is placed, then it gets a folder of its own', async (t) => {
  const { node, runtimes } = plant(t);
  const first = await placeNode(node, runtimes);
  writeFileSync(node, 'another 1');
  utimesSync(node, new Date(0), new Date(0));

  const second = await placeNode(node, runtimes);

  t.not(second, first);
  t.equal(readFileSync(second, 'utf8'), 'another 1');
  t.equal(readFileSync(first, 'utf8'), 'a runtime');
});

t.test('given many services that start at once, when they place Node, then all get one whole copy and no drafts stay', async (t) => {
  const { node, runtimes } = plant(t);
  const paths = await Promise.all(Array.from({ length: 8 }, () => placeNode(node, runtimes)));
  t.equal(new Set(paths).size, 1);
  t.equal(readdirSync(runtimes).length, 1);
});

t.test('given a folder that others may write, when Node is placed, then it is refused', async (t) => {
  const { node, runtimes } = plant(t);
  mkdirSync(runtimes);
  chmodSync(runtimes, 0o777);
  await t.rejects(placeNode(node, runtimes), { code: 'sandbox-unavailable' });
});

t.test('given a half-written copy under the right name, when Node is placed, then it is not used', async (t) => {
  const { node, runtimes } = plant(t);
  const placed = await placeNode(node, runtimes);
  writeFileSync(placed, 'a run');
  await t.rejects(placeNode(node, runtimes));
});
