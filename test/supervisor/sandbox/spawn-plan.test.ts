import { once } from 'node:events';
import t from 'tap';
import { defaultResources } from '../../../protocol/manifest.ts';
import { bootExitCodes } from '../../../supervisor/sandbox/boot.ts';
import { type LaunchRequest, planLaunch } from '../../../supervisor/sandbox/launch.ts';
import type { Level } from '../../../supervisor/sandbox/levels.ts';
import { type SpawnedChild, spawnPlan } from '../../../supervisor/sandbox/spawn-plan.ts';
import { findPluginProcess, signalProcess } from '../../../supervisor/sandbox/status.ts';
import { describeOwnNode, findTools } from '../../../supervisor/sandbox/tools.ts';
import { createUidPool } from '../../../supervisor/sandbox/uids.ts';
import { whyNot } from '../../support/sandbox-session.ts';

const isRoot = process.getuid?.() === 0;
const tools = await findTools(describeOwnNode());
const uids = createUidPool();
const skip = whyNot(isRoot ? 'root' : 'plain user', 'bwrap', 'prlimit', 'setpriv');
const skipBare = whyNot(isRoot ? 'root' : 'plain user', 'prlimit', 'setpriv');

async function start(level: Level, script: string, change: Partial<LaunchRequest> = {}): Promise<SpawnedChild> {
  const lease = isRoot ? await uids.take() : null;
  const launcher = { uid: process.getuid?.() ?? -1, pid: process.pid, openDescriptors: [] };
  const program = { engine: 'node', runner: Buffer.from(script), artifact: Buffer.alloc(0) } as const;
  const child = spawnPlan(planLaunch({ level, program, tools, resources: defaultResources, uid: lease?.uid ?? null, launcher, ...change }));
  child.process.once('close', () => lease?.release());
  return child;
}

async function collect(child: SpawnedChild) {
  let text = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const [code, signal] = await once(child.process, 'close');
  await child.statusEnded;
  return { code, signal, text, errors, status: child.status };
}

t.test('given a caged program that ends, when its reports are read, then they hold its exit code', { skip }, async (t) => {
  t.match(await collect(await start('isolated', 'process.exit(7)')), { code: 7, status: { exitCode: 7, childPid: Number } });
});

t.test(
  'given a caged program that is ended by a signal, when its reports are read, then they say 128 and the number',
  { skip },
  async (t) => {
    t.match(await collect(await start('isolated', 'process.kill(process.pid, "SIGKILL")')), { status: { exitCode: 137 } });
  },
);

t.test(
  'given a cage that cannot be built, when its reports are read, then there is no exit code and stderr says why',
  { skip },
  async (t) => {
    const gone = { source: '/nonexistent/libgone.so', path: '/lib/libgone.so' };
    const broken = { ...tools, node: { ...tools.node, libraries: [...tools.node.libraries, gone] } };
    const result = await collect(await start('isolated', 'console.log("ran")', { tools: broken }));
    t.equal(result.status?.exitCode, null);
    t.match(result.errors, /^bwrap: /);
    t.equal(result.text, '');
  },
);

t.test(
  'given a program that ignores SIGTERM, when the real process is killed, then the monitor reports it and ends',
  { skip },
  async (t) => {
    const child = await start(
      'isolated',
      'process.on("SIGTERM", () => console.log("no")); console.log("up"); setInterval(() => {}, 1000);',
    );
    await once(child.stdout, 'data');
    const target = findPluginProcess(child.status?.childPid ?? 0);
    t.ok(target);
    if (!target) return;

    const ended = collect(child);
    t.equal(signalProcess(target, 'SIGTERM'), true);
    await once(child.stdout, 'data');
    t.equal(signalProcess(target, 'SIGKILL'), true);

    t.match(await ended, { text: 'no\n', status: { exitCode: 137 } });
  },
);

t.test(
  'given a supervisor that was gone before the death signal was asked for, when the rest starts, then it ends by itself',
  { skip },
  async (t) => {
    const launcher = { uid: process.getuid?.() ?? -1, pid: process.pid + 1, openDescriptors: [] };
    const caged = await collect(await start('isolated', 'console.log("ran")', { launcher }));
    const bare = await collect(await start('restricted', 'console.log("ran")', { launcher }));
    t.match(caged, { code: 1, text: '', status: { childPid: null, exitCode: null } });
    t.match(bare, { code: bootExitCodes.orphaned, text: '', status: null });
  },
);

t.test(
  'given an artifact of several megabytes, when it is sent through the pipe, then all of it arrives',
  { skip: skipBare },
  async (t) => {
    const artifact = Buffer.from(`export default ${JSON.stringify('x'.repeat(8 << 20))};`);
    const program = {
      engine: 'node',
      runner: Buffer.from("import text from 'lattice:artifact'; console.log(text.length);"),
      artifact,
    } as const;
    t.match(await collect(await start('restricted', '', { program })), { code: 0, text: `${8 << 20}\n` });
  },
);

t.test(
  'given a child that ends before it has read its program, when the rest is written, then nobody is told of a broken pipe',
  { skip: skipBare },
  async (t) => {
    const artifact = Buffer.alloc(16 << 20, 'x');
    const program = { engine: 'node', runner: Buffer.alloc(0), artifact } as const;
    const child = await start('restricted', '', { program });
    child.result.kill('SIGKILL');
    t.match(await collect(child), { signal: 'SIGKILL' });
  },
);

t.test(
  'given a program with a small private folder, when it is filled, then the folder’s size and the file limit hold',
  { skip },
  async (t) => {
    const script = `import { appendFileSync } from 'node:fs'; let mebibytes = 0; const add = (file) => { for (;;) { appendFileSync(file, Buffer.alloc(1 << 20)); mebibytes++; } };
    for (const file of ['/tmp/a', '/tmp/b']) try { add(file); } catch (error) { console.log(mebibytes, error.code); }`;
    const { text } = await collect(await start('isolated', script, { resources: { ...defaultResources, tmp_mib: 3 } }));
    t.match(text, /^3 (EFBIG|ENOSPC)\n3 ENOSPC\n$/);
  },
);
