import t from 'tap';
import { compileNative } from '../children/bombs/compile-native.ts';
import { allGone, findDescendants } from '../support/process-tree.ts';
import { whyNot } from '../support/sandbox-session.ts';
import { createHome, startService } from '../support/start-service.ts';

const count = 50;
const failSafeMs = 8_000 * 10; // the promise is 8 s; the rest is a slow machine's
const native = compileNative();
const skip = native === null ? 'no C compiler with a static libc' : whyNot(process.getuid?.() === 0 ? 'root' : 'plain user', 'bwrap');

t.test(
  `given ${count} active plugins, some of them stopped by a signal, when the service gets SIGTERM, then all end`,
  { skip },
  async (t) => {
    const home = createHome(t);
    const ids = Array.from({ length: count }, (_, n) => `test.native-${n}`);
    for (const id of ids) home.place({ id, source: native ?? '', more: { engine: 'native' } });
    const service = await startService(home);
    const setAll = async (status: string) =>
      (await Promise.all(ids.map((id) => service.setStatus(id, status)))).map((answer) => answer.status);
    t.same(new Set(await setAll('installed')), new Set([200]));
    t.same(new Set(await setAll('active')), new Set([200]));
    const tree = findDescendants(service.pid);
    t.ok(tree.length >= count);
    const pids = await Promise.all(ids.map(async (id) => Number((await service.runtime(id)).pid)));
    for (const pid of pids.filter((_, n) => n % 3 === 0)) process.kill(pid, 'SIGSTOP');
    const startMs = performance.now();

    service.signal('SIGTERM');
    const { code } = await service.exited;

    const tookMs = performance.now() - startMs;
    t.comment(`${count} plugins stopped in ${Math.round(tookMs)} ms`);
    t.equal(code, 0, 'not by its last resort, which ends with 1 after 8 s');
    t.ok(tookMs < failSafeMs);
    await allGone(tree);
    for (const id of ids) await service.entered(id, 'stopped');
  },
);
