import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { defaultResources } from '../../../protocol/manifest.ts';
import { createCgroupLeaf } from '../../../supervisor/sandbox/cgroup.ts';
import { closeLeaf, notStarted } from '../../../supervisor/sandbox/cgroup-leaves.ts';
import { testFolder } from '../../support/test-folder.ts';

const exit = { cause: 'signal', code: null, signal: 'SIGKILL', detail: '' } as const;
const open = (folder: string) => createCgroupLeaf(folder, 'example.hello-7', defaultResources, (path) => rm(path, { recursive: true }));

t.test(
  'given a child that the kernel ended for its memory, when its cgroup is closed, then the exit says so and nothing is left',
  async (t) => {
    const folder = testFolder(t);
    const leaf = await open(folder);
    const home = join(folder, 'example.hello-7');
    t.equal(readFileSync(join(home, 'memory.max'), 'utf8'), String(128 * 1024 * 1024));
    writeFileSync(join(home, 'memory.events'), 'low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n');
    t.match(await closeLeaf(leaf, exit), { cause: 'out-of-memory', signal: 'SIGKILL' });
    t.equal(existsSync(home), false);
  },
);

t.test('given an end without a memory kill, or no cgroup at all, when it is closed, then the exit is told as it was', async (t) => {
  const folder = testFolder(t);
  const leaf = await open(folder);
  writeFileSync(join(folder, 'example.hello-7/memory.events'), 'oom_kill 0\n');
  t.same(await closeLeaf(leaf, exit), exit);
  t.same(await closeLeaf(null, exit), exit);
  mkdirSync(join(folder, 'example.hello-7'));
  t.same(await closeLeaf(leaf, notStarted), notStarted, 'what cannot be read keeps no exit from being told');
});
