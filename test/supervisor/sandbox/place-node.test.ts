import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
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

t.test(
  'given another Node in the same place, when it is placed, then it gets a folder of its own and the copy of the old one goes',
  async (t) => {
    const { node, runtimes } = plant(t);
    const first = await placeNode(node, runtimes);
    writeFileSync(node, 'another 1');
    utimesSync(node, new Date(0), new Date(0));

    const second = await placeNode(node, runtimes);

    t.not(second, first);
    t.equal(readFileSync(second, 'utf8'), 'another 1');
    t.equal(existsSync(first), false);
    t.equal(readdirSync(runtimes).length, 1);
  },
);

t.test('given a Node elsewhere that is still there, when another is placed, then its copy stays', async (t) => {
  const { node, runtimes } = plant(t);
  const first = await placeNode(node, runtimes);
  const other = join(node, '../other');
  writeFileSync(other, 'another Node', { mode: 0o755 });

  await placeNode(other, runtimes);

  t.equal(readFileSync(first, 'utf8'), 'a runtime');
});

t.test(
  'given a copy that a process runs from, when its Node is gone and another is placed, then it stays until that process has ended',
  async (t) => {
    const { node, runtimes } = plant(t);
    copyFileSync('/bin/sleep', node);
    const first = await placeNode(node, runtimes);
    const child = spawn(first, ['600']);
    t.teardown(() => child.kill('SIGKILL'));
    await once(child, 'spawn');
    writeFileSync(`${node}.next`, 'the next Node');
    renameSync(`${node}.next`, node);

    await placeNode(node, runtimes);
    t.equal(existsSync(first), true);

    child.kill('SIGKILL');
    await once(child, 'exit');
    writeFileSync(`${node}.next`, 'the one after that');
    renameSync(`${node}.next`, node);
    await placeNode(node, runtimes);
    t.equal(existsSync(first), false);
    t.equal(readdirSync(runtimes).length, 1);
  },
);

t.test(
  'given what a service left that was ended while it placed Node, when another is placed, then what is old goes and what is new stays',
  async (t) => {
    const { node, runtimes } = plant(t);
    mkdirSync(runtimes, { mode: 0o755 });
    for (const name of ['.draft-old', '.aside-old', '.draft-new', 'uids']) {
      mkdirSync(join(runtimes, name));
      if (!name.endsWith('-new')) utimesSync(join(runtimes, name), new Date(0), new Date(0));
    }

    const placed = await placeNode(node, runtimes);

    t.same(readdirSync(runtimes).sort(), ['.draft-new', basename(dirname(placed)), 'uids'].sort());
  },
);

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

t.test('given a half-written copy under the right name, when Node is placed, then it is made anew', async (t) => {
  const { node, runtimes } = plant(t);
  const placed = await placeNode(node, runtimes);
  writeFileSync(placed, 'a run');
  t.equal(await placeNode(node, runtimes), placed);
  t.equal(readFileSync(placed, 'utf8'), 'a runtime');
  t.equal(readdirSync(runtimes).length, 1);
});
