import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { BundleFile } from '../../../supervisor/loaded-bundle.ts';
import { openDescriptors } from '../../../supervisor/sandbox/descriptors.ts';
import { eventually } from '../../support/eventually.ts';
import { allGone, findDescendants } from '../../support/process-tree.ts';
import { openStdioJson } from '../../support/stdio-json.ts';
import { testFolder } from '../../support/test-folder.ts';

const plugins = await openStdioJson();
const { skip } = plugins;
const entryPath = 'bin/linux-amd64/plugin';

t.test(
  'given a caged action, when it looks at its descriptors, then there are the three and one pipe to read from',
  { skip },
  async (t) => {
    const real = plugins.open(t);
    await real.arm();
    // What this very process was started with besides is covered with the null device.
    const covered = openDescriptors().map((fd) => `${fd} device read`);
    t.same(await real.call('descriptors'), ['0 socket both', '1 socket both', '2 socket both', '3 pipe read', ...covered]);
  },
);

t.test(
  'given a caged action, when it looks at its environment, then it finds the constants of the cage and the number of the pipe',
  { skip },
  async (t) => {
    const real = plugins.open(t);
    await real.arm();
    const { cwd, env } = (await real.call('environment')) as { cwd: string; env: string[] };
    t.equal(cwd, '/plugin');
    t.same(env.sort(), [
      'HOME=/tmp',
      'LANG=C.UTF-8',
      'LATTICE_HOST_RESPONSE_FD=3',
      'PATH=/nonexistent',
      'PWD=/plugin',
      'TMPDIR=/tmp',
      'TZ=UTC',
    ]);
  },
);

t.test('given a caged action, when it tries the network, its pipe, its program and the host, then each is refused', { skip }, async (t) => {
  const real = plugins.open(t);
  await real.arm();
  const [EPERM, ENOENT, EBADF, EACCES, EROFS, EAFNOSUPPORT, ECONNREFUSED] = [1, 2, 9, 13, 30, 97, 111];
  const found = (await real.call('attack')) as Record<string, number>;
  t.match(found, {
    inet: EAFNOSUPPORT,
    inet6: EAFNOSUPPORT,
    packet: EAFNOSUPPORT,
    unix: ECONNREFUSED,
    write_pipe: EBADF,
    reopen_pipe: ENOENT,
    passwd: ENOENT,
  });
  t.ok([EPERM, EACCES, EROFS].includes(found.self ?? 0), `writing to its own program: ${found.self}`);
});

/** Files as they lie in staging after an archive was unpacked. */
function stage(t: Parameters<typeof testFolder>[0], content: Record<string, string>): BundleFile[] {
  const folder = testFolder(t);
  return Object.entries(content).map(([path, text], index) => {
    const stagedPath = join(folder, String(index));
    writeFileSync(stagedPath, text, { mode: 0o400 });
    return { path, stagedPath, sizeBytes: Buffer.byteLength(text), sha256: hash('sha256', text), isExecutable: false };
  });
}

t.test(
  'given a bundle of several files, when it is called, then they lie read-only beside the program, without the dashboard’s',
  { skip },
  async (t) => {
    const files = stage(t, { [entryPath]: 'not read', 'data/notes.txt': 'remember', 'ui/index.html': '<html>' });
    const real = plugins.open(t, { launch: { entryPath, files } });
    await real.arm();
    const [ENOENT, EACCES, EROFS] = [2, 13, 30];
    const found = (await real.call('neighbour')) as { notes: string; write: number; ui: number };
    t.match(found, { notes: 'remember', ui: ENOENT });
    t.ok([EACCES, EROFS].includes(found.write), `writing: ${found.write}`);
  },
);

t.test('given a staged file that has changed since it was verified, when the plugin is armed, then it is not', { skip }, async (t) => {
  const files = stage(t, { 'data/notes.txt': 'remember' }).map((file) => ({ ...file, sha256: hash('sha256', 'forgotten') }));
  const real = plugins.open(t, { launch: { entryPath, files } });
  t.match(await real.runtime.arm(), { ok: false, cause: 'trust-lost', message: /staged-copy-changed/ });
});

t.test('given more files than a cage shows, when it is called, then the program stands alone and the log says so', { skip }, async (t) => {
  const files = stage(t, Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`data/${index}`, 'x'])));
  const real = plugins.open(t, { launch: { entryPath, files } });
  await real.arm();
  t.match(await real.call('neighbour'), { notes: '' });
  await real.heard('the program stands alone');
});

t.test('given a program for JS, when it is armed as one of this protocol, then that is refused', { skip }, async (t) => {
  const real = plugins.open(t, { launch: { engine: 'node' } });
  t.match(await real.runtime.arm(), { ok: false, cause: 'sandbox-unavailable' });
});

t.test('given actions that hang with daemons, when the supervisor is killed with SIGKILL, then nothing is left', { skip }, async (t) => {
  const host = spawn(process.execPath, [fileURLToPath(new URL('../../support/host-stdio-json.ts', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => host.kill('SIGKILL'));
  const said = createInterface({ input: host.stdout });
  await once(said, 'line');
  let processes: ReturnType<typeof findDescendants> = [];
  // A daemon whose parent has just ended belongs to nobody for a moment.
  await eventually(() => {
    processes = findDescendants(host.pid ?? 0);
    return processes.length >= 2 * 5;
  });

  host.kill('SIGKILL');
  await once(host, 'exit');

  await allGone(processes);
});
