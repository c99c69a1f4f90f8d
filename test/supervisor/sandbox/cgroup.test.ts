import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { defaultResources } from '../../../protocol/manifest.ts';
import { createCgroupLeaf, detectCgroup, prepareCgroup } from '../../../supervisor/sandbox/cgroup.ts';
import { testFolder } from '../../support/test-folder.ts';

/** A tree of plain files in the kernel's shape: what is written can be read back, and that is all it does. */
function plant(t: Test, files: Record<string, string>) {
  const root = testFolder(t);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  return { root, read, where: { mounts: [join(root, 'v1'), join(root, 'unified')], membership: join(root, 'membership') } };
}
const delegated = {
  'unified/svc/cgroup.controllers': 'cpuset cpu io memory pids\n',
  'unified/svc/cgroup.procs': '',
  'unified/svc/cgroup.subtree_control': '',
};

t.test('given a delegated subtree, when cgroups are looked for, then it is offered', async (t) => {
  const tree = plant(t, { membership: '4:memory:/x\n0::/svc\n', ...delegated });
  t.same(await detectCgroup(tree.where), { offered: true, folder: join(tree.root, 'unified/svc') });
});

const refusals: [name: string, files: Record<string, string>, detail: RegExp][] = [
  ['only version 1', { membership: '4:memory:/x\n' }, /in no cgroup v2/],
  ['no membership file at all', {}, /in no cgroup v2/],
  ['a version 2 whose controllers version 1 has taken', { membership: '0::/\n', 'unified/cgroup.controllers': '\n' }, /memory, pids, cpu/],
  [
    'a subtree that lacks one',
    { membership: '0::/svc\n', ...delegated, 'unified/svc/cgroup.controllers': 'cpu memory\n' },
    /controllers pids$/,
  ],
  ['a subtree that is not ours', { membership: '0::/svc\n', 'unified/svc/cgroup.controllers': 'cpu memory pids\n' }, /not delegated/],
];
for (const [name, files, detail] of refusals) {
  t.test(`given ${name}, when cgroups are looked for, then they are not offered and it is said why`, async (t) => {
    const offer = await detectCgroup(plant(t, files).where);
    t.match(offer, { offered: false, detail, howToGet: /Delegate=yes/ });
  });
}

t.test('given a subtree with processes, when it is prepared, then they move to a leaf and controllers are handed down', async (t) => {
  const tree = plant(t, { ...delegated, 'unified/svc/cgroup.procs': '101\n' });

  await prepareCgroup(join(tree.root, 'unified/svc'));

  t.equal(tree.read('unified/svc/supervisor/cgroup.procs'), '101');
  t.equal(tree.read('unified/svc/cgroup.subtree_control'), '+memory +pids +cpu');
});

t.test('given the resources of a manifest, when a leaf is made, then each has its file', async (t) => {
  const tree = plant(t, {});

  const leaf = await createCgroupLeaf(tree.root, 'example.hello-7', defaultResources);
  await leaf.limitCpu(50);

  t.equal(tree.read('example.hello-7/memory.max'), String(128 * 1024 * 1024));
  t.equal(tree.read('example.hello-7/memory.oom.group'), '1');
  t.equal(tree.read('example.hello-7/memory.swap.max'), '0');
  t.equal(tree.read('example.hello-7/pids.max'), '32');
  t.equal(tree.read('example.hello-7/cpu.max'), '50000 100000');
  t.equal(leaf.procsFile, join(tree.root, 'example.hello-7', 'cgroup.procs'));
});

t.test('given a leaf whose memory ran out, when its events are read, then the cause is known', async (t) => {
  const tree = plant(t, {});
  const leaf = await createCgroupLeaf(tree.root, 'a', defaultResources);
  t.same(await leaf.readEvents(), { oomKills: 0, forksRefused: 0 });

  writeFileSync(join(tree.root, 'a/memory.events'), 'low 0\nhigh 0\nmax 31\noom 1\noom_kill 2\noom_group_kill 1\n');
  writeFileSync(join(tree.root, 'a/pids.events'), 'max 9\n');
  writeFileSync(join(tree.root, 'a/cgroup.events'), 'populated 1\nfrozen 0\n');

  t.same(await leaf.readEvents(), { oomKills: 2, forksRefused: 9 });
  t.equal(await leaf.isPopulated(), true);
});

t.test('given a leaf, when it is killed and removed, then the kernel is asked for both', async (t) => {
  const tree = plant(t, {});
  const leaf = await createCgroupLeaf(tree.root, 'a', defaultResources, async (path) => rmSync(path, { recursive: true }));

  await leaf.kill();
  t.equal(tree.read('a/cgroup.kill'), '1');
  t.equal(await leaf.isPopulated(), false);
  await leaf.remove();

  t.throws(() => tree.read('a/memory.max'));
});

t.test('given a name that is in use, when a leaf is made, then it is refused rather than shared', async (t) => {
  const tree = plant(t, {});
  await createCgroupLeaf(tree.root, 'a', defaultResources);
  await t.rejects(createCgroupLeaf(tree.root, 'a', defaultResources), { code: 'EEXIST' });
});
