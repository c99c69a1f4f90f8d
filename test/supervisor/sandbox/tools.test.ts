import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { describeOwnNode, findTools } from '../../../supervisor/sandbox/tools.ts';
import { testFolder } from '../../support/test-folder.ts';

t.test('given this process, when its own Node is described, then it is the one that runs', async (t) => {
  const facts = describeOwnNode();
  t.equal(facts.nodePath, process.execPath);
  t.ok(facts.sharedObjects.some((path) => /libc[.-]/.test(path)));
});

t.test('given the facts of this process, when tools are found, then a child’s libraries are absolute files without addons', async (t) => {
  const facts = describeOwnNode();

  const tools = await findTools({ ...facts, sharedObjects: [...facts.sharedObjects, '/opt/app/addon.node', 'linux-vdso.so.1'] });

  t.equal(tools.node.problem, null);
  for (const { source, path } of tools.node.libraries) {
    t.ok(source.startsWith('/') && path.startsWith('/'));
    t.notMatch(path, /\.node$|vdso/);
  }
  const paths = tools.node.libraries.map(({ path }) => path);
  t.equal(new Set(paths).size, paths.length, 'no path stands twice');
  if (tools.prlimit !== null) t.ok(tools.prlimitLibraries.length > 0, 'prlimit brings its own');
});

t.test('given folders where nothing of root is, when tools are found, then there are none', async (t) => {
  const folder = testFolder(t, { bwrap: 'not ours', prlimit: 'nor this' });
  chmodSync(join(folder, 'bwrap'), 0o777);
  chmodSync(join(folder, 'prlimit'), 0o777);

  const tools = await findTools({ ...describeOwnNode(), folders: [folder] });

  t.match(tools, { bwrap: null, prlimit: null, setpriv: null, shell: null, env: null, prlimitLibraries: [] });
});

t.test('given another processor, when tools are found, then there is no filter for it', async (t) => {
  t.equal((await findTools({ ...describeOwnNode(), arch: 'riscv64' })).arch, null);
});

const skip = process.getuid?.() === 0 ? false : 'only root gives children another uid';
t.test('given root and a Node that other users cannot reach, when tools are found, then a copy is placed', { skip }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'lattice-tools-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  chmodSync(root, 0o755);
  mkdirSync(join(root, 'private'), { mode: 0o700 });
  writeFileSync(join(root, 'private/node'), 'stands for Node', { mode: 0o755 });
  const facts = { ...describeOwnNode(), nodePath: join(root, 'private/node') };

  const placed = await findTools({ ...facts, runtimeRoot: join(root, 'run') });
  const refused = await findTools({ ...facts, runtimeRoot: '/proc/nowhere' });
  const notRoot = await findTools({ ...facts, uid: 1000, runtimeRoot: '/proc/nowhere' });

  t.equal(placed.node.problem, null);
  t.ok(placed.node.path.startsWith(join(root, 'run')));
  t.match(refused.node.problem, /could not be copied/);
  t.equal(notRoot.node.path, join(root, 'private/node'), 'a child of the same user reaches what the service reaches');
});

t.test('given a Node that was moved away since the service started, when tools are found, then it is said', async (t) => {
  const tools = await findTools({ ...describeOwnNode(), nodePath: join(testFolder(t), 'node') });
  t.match(tools.node.problem, /moved or removed/);
});
