import { compilePlugin } from '../test/support/native-plugin.ts';
import { openWorkshop } from '../test/support/real-runtime.ts';
import { openStdioJson } from '../test/support/stdio-json.ts';
import { quantile } from './neighbour.ts';

/** How long a call of a stdio-json-v1 plugin takes, a process each, beside the restart of a native plugin that stays. `[calls]` */
const calls = Number(process.argv[2] ?? 100);
const plugins = await openStdioJson();
if (plugins.skip !== false) throw new Error(String(plugins.skip));
const real = plugins.open({ teardown: () => {} });
await real.runtime.arm();

async function measure(run: () => Promise<unknown>): Promise<Record<string, string>> {
  const tookMs: number[] = [];
  for (let count = 0; count < calls; count++) {
    const startMs = performance.now();
    await run();
    tookMs.push(performance.now() - startMs);
  }
  const show = (share: number) => `${quantile(tookMs, share)?.toFixed(1)} ms`;
  return { p50: show(0.5), p95: show(0.95) };
}

const one = await measure(async () => {
  await real.call('echo');
  await real.idle();
});
const together = await measure(() => Promise.all([1, 2, 3, 4].map(() => real.call('echo'))));
const native = (await openWorkshop()).open(
  { teardown: () => {} },
  { id: 'example.native', artifact: compilePlugin('faults/forker.c') ?? '' },
);
const spawned = await measure(() => native.runtime.arm()); // stops the one before, and waits until the next is ready
console.table({ 'one action': one, 'four actions at once': together, 'restart of a native plugin': spawned });
await Promise.all([real.close(), native.close()]);
