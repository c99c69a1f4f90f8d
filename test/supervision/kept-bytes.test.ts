import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { createVerifyPool } from '../../supervisor/verify-pool.ts';
import { eventually } from '../support/eventually.ts';
import { openWorkshop } from '../support/real-runtime.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const mebibyte = 1024 * 1024;

/** Collected twice, with a turn of the event loop between: what a stream or a timer still held is gone then. */
async function heldMib(): Promise<number> {
  collect();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  return process.memoryUsage().arrayBuffers / mebibyte;
}

t.test('given a plugin of 8 MiB, when it is armed and answers, then its program is not kept in memory', async (t) => {
  const workshop = await openWorkshop();
  const text = `export default { services: { tool: { echo: (payload) => payload } } };//${'x'.repeat(8 * mebibyte)}`;
  const real = workshop.open(t, { artifact: text });
  const before = await heldMib();
  t.match(await real.runtime.arm(), { ok: true });
  t.equal(await real.invoke('echo', 'still here'), 'still here');

  const more = (await heldMib()) - before;

  t.ok(more < 4, `${more.toFixed(1)} MiB more`);
});

t.test('given threads that check bundles, when they have had no work for their time, then none is left', async (t) => {
  const pool = createVerifyPool({ idleMs: 10 });
  t.teardown(pool.close);
  t.match(await pool.run({ kind: 'load', staging: '/nowhere', bundleSha256: 'none', platform: 'linux-x64' }), { ok: false });

  await eventually(() => pool.threads() === 0);

  t.equal(pool.threads(), 0);
});
