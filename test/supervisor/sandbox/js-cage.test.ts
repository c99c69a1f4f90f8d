import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Level } from '../../../supervisor/sandbox/levels.ts';
import { childUids } from '../../../supervisor/sandbox/uids.ts';
import { jsAttacks } from '../../support/js-attacks.ts';
import { openSession, type User, users, whyNot } from '../../support/sandbox-session.ts';

const model = 'ERR_ACCESS_DENIED'; // Node's permission model
const absent = 'ENOENT'; // the mount namespace: there is no such file
const family = 'EAFNOSUPPORT'; // seccomp: no such socket
type Row = { attempt: string; isolated: string; alone: string; restricted: string };
const row = (attempt: string, isolated: string, alone: string, restricted = model): Row => ({ attempt, isolated, alone, restricted });

/** What stops each attempt: at isolated, there without Node's model (so that the kernel holds alone), and at restricted. */
const rows: readonly Row[] = [
  row('read /etc/passwd', model, absent),
  row('read a file of the host', absent, absent),
  row('write a file of the host', absent, absent),
  row('read the environment of the supervisor', model, absent),
  row('list the descriptors of the supervisor', model, absent),
  row('follow a link out of tmp', model, absent),
  row('write beside tmp', model, 'EROFS'),
  row('change Node itself', model, 'EROFS'),
  row('connect to loopback', model, family),
  row('connect to loopback over IPv6', model, family),
  row('connect to an abstract socket', model, 'ECONNREFUSED'), // a network namespace has abstract names of its own
  row('listen on loopback', model, family),
  row('open a datagram socket', model, family),
  row('fetch', model, family),
  row('start a program', model, 'EPERM'), // seccomp: no fork
  row('start a shell', model, 'EPERM'),
  row('load an addon', 'ERR_DLOPEN_DISABLED', 'ERR_DLOPEN_DISABLED', 'ERR_DLOPEN_DISABLED'),
  row('use node:sqlite', 'NO_SUCH_MODULE', 'NO_SUCH_MODULE', 'NO_SUCH_MODULE'),
  row('use node:ffi', 'NO_SUCH_MODULE', 'NO_SUCH_MODULE', 'NO_SUCH_MODULE'),
  row('reach internal bindings', model, 'escaped'), // harmless: what they could do is stopped below them
  row('open the inspector', model, 'escaped'), // it opens, and cannot listen
  row('stop the supervisor', 'EPERM', 'ESRCH', 'EPERM'), // the seat belt; alone, the pid namespace
  row('signal everybody', 'EPERM', 'ESRCH', 'EPERM'),
  row('slow the supervisor', 'EPERM', 'ESRCH', 'EPERM'),
  row('become root', 'EPERM', 'EPERM', 'EPERM'),
  row('hoard descriptors', 'EMFILE', 'EMFILE'), // the rlimit
  row('fill the disk', 'EMFILE', 'EMFILE'),
];

type Case = {
  name: string;
  level: Level;
  permission: boolean;
  later?: true;
  user: User;
  column: keyof Omit<Row, 'attempt'>;
  needs: string[];
};
const cases: Case[] = users.flatMap((user): Case[] => [
  { name: 'isolated', level: 'isolated', permission: true, user, column: 'isolated', needs: ['bwrap', 'prlimit', 'setpriv'] },
  {
    name: 'isolated without --permission',
    level: 'isolated',
    permission: false,
    user,
    column: 'alone',
    needs: ['bwrap', 'prlimit', 'setpriv'],
  },
  { name: 'restricted', level: 'restricted', permission: true, user, column: 'restricted', needs: ['prlimit', 'setpriv'] },
  {
    name: 'isolated, in a child that was there before,',
    level: 'isolated',
    permission: true,
    later: true,
    user,
    column: 'isolated',
    needs: ['bwrap', 'prlimit', 'setpriv'],
  },
  {
    name: 'restricted, in a child that was there before,',
    level: 'restricted',
    permission: true,
    later: true,
    user,
    column: 'restricted',
    needs: ['prlimit', 'setpriv'],
  },
]);

/** What the program would reach if it got out: a server on loopback and a file that everybody may write. */
async function openTargets(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-cage-'));
  chmodSync(folder, 0o755);
  const hostFile = join(folder, 'target');
  writeFileSync(hostFile, 'untouched');
  chmodSync(hostFile, 0o666);
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return { facts: { port, hostFile }, reached: () => connections > 0 || readFileSync(hostFile, 'utf8') !== 'untouched' };
}

for (const { name, level, permission, later = false, user, column, needs } of cases) {
  const skip = whyNot(user, ...needs);
  t.test(
    `given ${name} as ${user}, when a JS program attacks, then each attempt meets the layer that is there for it`,
    { skip },
    async (t) => {
      const { facts, reached } = await openTargets(t);
      const session = openSession(t, user, { level, permission, later, script: jsAttacks(facts) }, { SECRET_TOKEN: 'lat_of_the_service' });
      session.closeInput();

      const { exitCode, code } = await session.hear('exit');
      const said = new Map<string, string>(
        session
          .lines()
          .map((line) => JSON.parse(line))
          .filter(Array.isArray) as [string, string][],
      );

      for (const expected of rows) t.equal(said.get(expected.attempt), expected[column], expected.attempt);
      t.equal(reached(), false, 'nothing of the host was reached');
      t.equal(level === 'restricted' ? code : exitCode, 0, session.stderr());
      t.notMatch([...said.values()].join(), /lat_of_the_service/);
      const uid = Number(said.get('uid'));
      t.ok(level === 'isolated' ? uid === 65534 : uid > 0, 'never root');
      if (level === 'restricted' && user === 'root') t.ok(uid >= childUids.first && uid <= childUids.last, 'a uid of its own');
      t.equal(said.get('environment'), level === 'isolated' ? 'HOME,LANG,PATH,PWD,TMPDIR,TZ' : '');
      t.equal(said.get('memory'), 'true', 'process.memoryUsage() answers without /proc');
    },
  );
}

t.test(
  'given level none as root, when a JS program runs, then it still has a uid of its own and an empty environment',
  { skip: whyNot('root', 'setpriv') },
  async (t) => {
    const script = 'console.log(JSON.stringify([process.getuid(), process.getgroups(), Object.keys(process.env)]))';
    const session = openSession(t, 'root', { level: 'none', script }, { SECRET_TOKEN: 'x' });

    await session.hear('exit');

    const { uid } = await session.hear('started');
    t.same(JSON.parse(session.lines()[0] ?? ''), [uid, [uid], []]);
    t.ok(uid !== null && uid >= childUids.first);
  },
);

const bombs: [name: string, script: string, level: Level, expected: RegExp][] = [
  ['the JS heap', 'const a = []; for (;;) a.push({ a: [a.length] });', 'isolated', /^(133|134)$/],
  [
    'Buffers',
    'const a = []; try { for (;;) a.push(Buffer.alloc(1 << 20, 1)); } catch { process.exitCode = 9; }',
    'isolated',
    /^(9|133|134|139)$/,
  ],
  [
    'WASM memory',
    'const a = []; try { for (;;) { const m = new WebAssembly.Memory({ initial: 16 }); new Uint8Array(m.buffer).fill(1); a.push(m); } } catch { process.exitCode = 9; }',
    'isolated',
    /^(9|133|134|139)$/,
  ],
];
for (const [name, script, level, expected] of bombs) {
  t.test(
    `given a program that eats memory through ${name}, when it runs at ${level}, then it alone ends, or is told so`,
    { skip: whyNot('root', 'bwrap', 'prlimit', 'setpriv') && whyNot('plain user', 'bwrap', 'prlimit', 'setpriv') },
    async (t) => {
      const user = whyNot('root') === false ? 'root' : 'plain user';
      const session = openSession(t, user, { level, script, resources: { memory_mib: 64 } });
      const { exitCode } = await session.hear('exit');
      t.match(String(exitCode), expected);
    },
  );
}
