import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import t from 'tap';
import type { Level } from '../../../supervisor/sandbox/levels.ts';
import { identifyProcess } from '../../../supervisor/sandbox/status.ts';
import { eventually } from '../../support/eventually.ts';
import { openSession, users, whyNot, witnessFd } from '../../support/sandbox-session.ts';

const busy = 'console.log("up"); setImmediate(() => { for (;;) {} });';
const levels: [Level, string[]][] = [
  ['isolated', ['bwrap', 'prlimit', 'setpriv']],
  ['restricted', ['prlimit', 'setpriv']],
  ['none', ['setpriv']],
];
/** Its event loops and pipes, and the /dev/null that libuv keeps in hand; the filter of a cage refuses io_uring. */
const madeByNode = {
  isolated: /^(anon_inode:\[(eventpoll|eventfd)\]|pipe:\[\d+\]|\/dev\/null)$/,
  restricted: /^(anon_inode:\[(eventpoll|eventfd|io_uring)\]|pipe:\[\d+\]|\/dev\/null)$/,
} as const;
const isAlive = (pid: number) => identifyProcess(pid) !== undefined;

for (const user of users) {
  for (const [level, needs] of levels) {
    const skip = whyNot(user, ...needs);
    t.test(
      `given a busy loop at ${level} as ${user}, when the supervisor is killed with SIGKILL, then nothing of it survives`,
      { skip },
      async (t) => {
        const session = openSession(t, user, { level, script: busy, plug: false });
        const { monitor, plugin, init } = await session.hear('started');
        t.ok(isAlive(plugin) && isAlive(monitor), 'it runs');

        session.kill('SIGKILL');
        await session.closed;
        await session.released;
        await eventually(() => ![monitor, plugin, init ?? plugin].some(isAlive));

        t.pass('monitor, init and plugin have gone, and the witness descriptor is free');
      },
    );
  }

  t.test(
    `given a program at none as ${user} that forked, when the supervisor is killed, then the plugin itself is gone`,
    { skip: whyNot(user, 'setpriv') },
    async (t) => {
      const script = `import { spawn } from 'node:child_process'; const child = spawn('/bin/sleep', ['1000'], { stdio: 'ignore' }); console.log(child.pid); for (;;) {}`;
      const session = openSession(t, user, { level: 'none', script });
      const { plugin } = await session.hear('started');
      const grandchild = Number((await session.hear('line')).text);
      t.teardown(() => isAlive(grandchild) && process.kill(grandchild, 'SIGKILL'));

      session.kill('SIGKILL');
      await session.closed;
      await eventually(() => !isAlive(plugin));

      t.pass('level none does not promise more');
    },
  );

  const skipCage = whyNot(user, 'bwrap', 'prlimit', 'setpriv');
  t.test(
    `given descriptors that the supervisor inherited, when a plugin runs as ${user}, then it holds none of them`,
    { skip: skipCage },
    async (t) => {
      for (const level of ['isolated', 'restricted'] as const) {
        const session = openSession(t, user, { level, script: 'console.log("up"); setInterval(() => {}, 1000);' });
        const { plugin } = await session.hear('started');
        const folder = `/proc/${plugin}/fd`;
        const held = new Map(readdirSync(folder).map((fd) => [Number(fd), readlinkSync(`${folder}/${fd}`)]));
        const outside = readlinkSync(`/proc/${session.pid}/fd/${witnessFd}`);

        const others = [...held].filter(([fd]) => fd > 2).map(([, target]) => target);
        t.match([held.get(0), held.get(1), held.get(2)], [/^socket:/, /^socket:/, /^socket:/]);
        t.notOk(others.includes(outside), 'the witness is an inherited one');
        t.same(
          others.filter((target) => !madeByNode[level].test(target)),
          [],
          'only what Node makes for itself',
        );
        const pipes = others.filter((target) => target.startsWith('pipe:'));
        t.ok(
          pipes.every((target) => pipes.filter((other) => other === target).length === 2),
          'both ends of each pipe are its own',
        );
        session.kill('SIGKILL');
        await session.closed;
      }
    },
  );

  t.test(
    `given secrets in the supervisor’s environment, when a plugin runs as ${user}, then no process shows them or a data path`,
    { skip: skipCage },
    async (t) => {
      for (const level of ['isolated', 'restricted'] as const) {
        const env = { LATTICE_DATA_DIR: '/srv/lattice-data', SECRET_TOKEN: 'lat_secret_of_the_service' };
        const order = {
          level,
          script: '/* runner-mark */ console.log("up"); setInterval(() => {}, 1000);',
          artifact: 'export default "artifact-mark";',
        };
        const session = openSession(t, user, order, env);
        const { plugin, monitor, init } = await session.hear('started');
        for (const pid of new Set([plugin, monitor, init ?? plugin])) {
          const text = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'latin1')).join('\n');
          t.notMatch(
            text,
            /lattice-data|lat_secret|runner-mark|artifact-mark|SECRET/,
            `${level}, process ${pid === plugin ? 'plugin' : pid === monitor ? 'monitor' : 'init'}`,
          );
        }
        t.match(readFileSync(`/proc/${plugin}/cmdline`, 'latin1'), /^lattice plugin test/, 'it goes by its name');
        session.kill('SIGKILL');
        await session.closed;
      }
    },
  );
}
