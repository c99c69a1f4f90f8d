import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { isReachableByOthers, isTrusted } from '../../../supervisor/sandbox/trusted-path.ts';

const notRoot = process.getuid?.() === 0 ? false : 'only root can own files as root does';

/** A folder of its own under /tmp, which is root's and sticky: the way to it is one that other users could take. */
function plant(t: Test) {
  const root = mkdtempSync(join(tmpdir(), 'lattice-trust-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  chmodSync(root, 0o755);
  mkdirSync(join(root, 'bin'), { mode: 0o755 });
  writeFileSync(join(root, 'bin/tool'), '', { mode: 0o755 });
  return { root, bin: join(root, 'bin'), tool: join(root, 'bin/tool') };
}

t.test(
  'given a file of root in folders of root, when it is judged, then it is trusted, by a link of root too',
  { skip: notRoot },
  async (t) => {
    const { root, tool } = plant(t);
    symlinkSync(tool, join(root, 'link'));
    t.equal(isTrusted(tool), true);
    t.equal(isTrusted(join(root, 'link')), true);
  },
);

const faults: [name: string, spoil: (place: ReturnType<typeof plant>) => void][] = [
  ['a file that others may write', ({ tool }) => chmodSync(tool, 0o757)],
  ['a file that its group may write', ({ tool }) => chmodSync(tool, 0o775)],
  ['a file of somebody else', ({ tool }) => chownSync(tool, 61_170, 61_170)],
  ['a folder that others may write', ({ bin }) => chmodSync(bin, 0o777)],
  ['a folder of somebody else', ({ bin }) => chownSync(bin, 61_170, 61_170)],
  ['a file that is missing', ({ tool }) => rmSync(tool)],
];
for (const [name, spoil] of faults) {
  t.test(`given ${name}, when it is judged, then it is not trusted`, { skip: notRoot }, async (t) => {
    const place = plant(t);
    spoil(place);
    t.equal(isTrusted(place.tool), false);
  });
}

t.test('given a link in an open folder to a tool of root, when it is judged, then the link decides', { skip: notRoot }, async (t) => {
  const { root, tool } = plant(t);
  mkdirSync(join(root, 'open'));
  chmodSync(join(root, 'open'), 0o777);
  symlinkSync(tool, join(root, 'open/tool'));
  t.equal(isTrusted(join(root, 'open/tool')), false);
});

t.test('given a folder and a file, when others could not use them, then that is seen', async (t) => {
  const { root, bin, tool } = plant(t);
  t.equal(isReachableByOthers(tool), true);
  chmodSync(tool, 0o754);
  t.equal(isReachableByOthers(tool), false);
  t.equal(isReachableByOthers(tool, 'read'), true, 'a library is only read');
  chmodSync(tool, 0o755);
  chmodSync(bin, 0o700);
  t.equal(isReachableByOthers(tool), false);
  t.equal(isReachableByOthers(join(root, 'missing')), false);
});
