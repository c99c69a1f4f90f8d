import { readFileSync } from 'node:fs';
import t from 'tap';
import { createRealClock } from '../../supervisor/clock.ts';
import { allGone, findDescendants } from '../support/process-tree.ts';
import { openWorkshop } from '../support/real-runtime.ts';

const count = 20; // test/end-to-end/fifty-plugins.test.ts stops 50, of a whole service
const failSafeMs = 8_000 * 10; // a stop takes 5 s at most; the rest is a slow machine's
const artifact = readFileSync(new URL('../children/tool.js', import.meta.url), 'utf8');
const workshop = await openWorkshop();

/** Every second one obeys; the others each have a way of their own not to. */
const manners = ['obeys', 'ignores SIGTERM', 'obeys', 'is in a busy loop', 'obeys', 'never answers shutdown'] as const;

t.test(`given ${count} plugins, half of them deaf, busy or silent, when all are stopped at once, then all are gone together`, async (t) => {
  const clock = createRealClock();
  const plugins = Array.from({ length: count }, (_, n) => {
    const manner = manners[n % manners.length] ?? 'obeys';
    const config = manner === 'never answers shutdown' ? { shutdown_ms: 600_000 } : {};
    return { manner, real: workshop.open(t, { id: `test.many-${n}`, artifact, launch: { config } }) };
  });
  const armed = await Promise.all(plugins.map(({ real }) => real.runtime.arm()));
  t.same(
    armed.filter(({ ok }) => !ok),
    [],
  );
  const lost: Promise<unknown>[] = [];
  for (const { manner, real } of plugins) {
    if (manner === 'ignores SIGTERM') await real.invoke('deafen');
    if (manner !== 'is in a busy loop') continue;
    lost.push(t.rejects(real.invoke('spin'), { code: 'plugin-crashed' }));
    await real.heard('spinning');
  }
  const tree = findDescendants(process.pid);
  t.ok(tree.length >= count);
  const startMs = clock.monotonicMs();

  await Promise.all(plugins.map(({ real }) => real.runtime.stop()));

  const tookMs = clock.monotonicMs() - startMs;
  t.comment(`${count} plugins stopped in ${Math.round(tookMs)} ms`);
  t.ok(tookMs < failSafeMs);
  await allGone(tree);
  await Promise.all(lost);
  for (const { manner, real } of plugins) {
    t.match(real.runtime.view(), { state: 'stopped', pid: null }, manner);
    t.match(real.lastExit(), { cause: 'stopped' }, manner);
  }
});
