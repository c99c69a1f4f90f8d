import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { openSession, users, whyNot } from '../../support/sandbox-session.ts';

const source = fileURLToPath(new URL('../../support/attacks.c', import.meta.url));
const [eperm, enoent, eacces, erofs, einval, enosys, eafnosupport, esrch] = ['1', '2', '13', '30', '22', '38', '97', '3'];
const econnrefused = '111';

type Row = [attempt: string, error: string, layer: string];
const all = (layer: string, error: string, names: string): Row[] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => [name, error, layer]);

/** Each attempt, the error it must meet, and whose work that is. */
const rows: Row[] = [
  ...all(
    'seccomp',
    eafnosupport,
    'inet-socket inet6-socket netlink-socket packet-socket vsock-socket alg-socket bluetooth-socket xdp-socket inet-pair',
  ),
  ...all('mount namespace', enoent, 'read-passwd read-proc read-sys open-disk unix-socket'),
  ['write-root', erofs, 'read-only root'],
  ['write-dev', erofs, 'read-only /dev'],
  ['write-self', eacces, 'read-only artifact'],
  ...all(
    'seccomp',
    eperm,
    'unshare-user unshare-mount clone-user setns mount remount chroot pivot-root make-device ptrace-init read-init-memory',
  ),
  ...all('seccomp', eperm, 'keyctl add-key request-key bpf perf userfaultfd set-hostname set-clock type-into-terminal'),
  ...all('seccomp', eperm, 'steal-descriptor open-by-handle fanotify kernel-log load-module'),
  // Memory of these kinds counts against no limit of a process.
  ...all('seccomp', eperm, 'memory-file shared-memory message-queue semaphores'),
  ...all('seccomp', enosys, 'clone3 io-uring open-tree'),
  ['abstract-socket', econnrefused, 'network namespace'],
  ...all('no capabilities', eperm, 'real-time real-time-disk'),
  ['raise-priority', eacces, 'no capabilities'],
  ['setuid-root', einval, 'user namespace'],
  ['raise-limit', eperm, 'rlimit'],
  ['kill-everybody', esrch, 'pid namespace'],
];

function compile(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-native-'));
  chmodSync(folder, 0o755);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'attacks');
  try {
    execFileSync('cc', ['-static', '-O1', '-w', '-o', program, source], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return existsSync(program) ? program : null;
}

const program = compile();

for (const user of users) {
  const skip = program === null ? 'there is no C compiler with a static libc' : whyNot(user, 'bwrap', 'prlimit', 'setpriv');
  t.test(
    `given a native program as ${user}, when it attacks, then each attempt meets the layer that is there for it`,
    { skip },
    async (t) => {
      const session = openSession(t, user, { level: 'isolated', native: program ?? '' });
      await session.hear('started');
      await session.heard('done');
      const said = new Map(session.lines().map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const));

      for (const [attempt, error, layer] of rows) t.equal(said.get(attempt), error, `${attempt}: ${layer}`);
      t.match(said.get('fds'), /^0:socket 1:socket 2:socket( \d+:null)*$/, 'no descriptor but stdio and plugs');
      t.ok(Number(said.get('disk')) <= 16, 'the size of its folder');
      t.ok(Number(said.get('descriptors')) < 64, 'rlimit');
      t.ok(Number(said.get('mebibytes')) <= 128, 'rlimit');
      t.ok(Number(said.get('forks')) <= 32, 'rlimit');

      // It has left a daemon of a session of its own, and loops: the end of the supervisor must end both.
      session.kill('SIGKILL');
      await session.closed;
      await session.released;
      t.pass('nothing of it runs any more');
    },
  );
}
