import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import Table from 'cli-table3';
import { defaultResources } from '../protocol/manifest.ts';
import { loadRunnerBundle } from '../supervisor/runner-bundle.ts';
import { bootText } from '../supervisor/sandbox/boot.ts';
import { openDescriptors } from '../supervisor/sandbox/descriptors.ts';
import { planLaunch } from '../supervisor/sandbox/launch.ts';
import { spawnPlan } from '../supervisor/sandbox/spawn-plan.ts';
import { describeOwnNode, findTools } from '../supervisor/sandbox/tools.ts';
import { createUidPool } from '../supervisor/sandbox/uids.ts';
import { compilePlugin } from '../test/support/native-plugin.ts';
import { openWorkshop, type RealOptions, type Workshop } from '../test/support/real-runtime.ts';
import { createOwner } from './owner.ts';
import { tell } from './progress.ts';
import { ratios, type Spread, showSpread, spread } from './spread.ts';
import type { Report } from './suites.ts';

const rounds = 15;
const burstRounds = 3;
const burst = 20;
const untilNextIsThereMs = 600;
const artifact = 'export default { services: { tool: { echo: (payload) => payload } } };';
const minimalText = `process.stdout.write('\\n'); process.stdin.resume();`;

/** Starts one child, and says how long it took until it was there; what ends it is not counted. */
type Start = () => Promise<number>;

async function createMinimal(isGuarded: boolean): Promise<Start> {
  const [tools, runner] = [await findTools(describeOwnNode()), await loadRunnerBundle()];
  const uids = process.getuid?.() === 0 ? createUidPool() : null;
  return async () => {
    const lease = (await uids?.take()) ?? null;
    const startMs = performance.now();
    const plan = planLaunch({
      ...{ level: 'isolated', tools, resources: defaultResources, uid: lease?.uid ?? null },
      launcher: { uid: process.getuid?.() ?? -1, pid: process.pid, openDescriptors: openDescriptors() },
      program: { engine: 'node', runner, artifact: Buffer.from(artifact) },
    });
    const node = plan.args.indexOf('/rt/node');
    const flags = isGuarded ? plan.args.slice(node + 1, -2) : [];
    if (node < 0 || plan.args.at(-1) !== bootText) throw new Error('the plan does not end in Node and the boot text');
    const child = spawnPlan({ ...plan, args: [...plan.args.slice(0, node + 1), ...flags, '-e', minimalText] });
    child.stderr.resume();
    await once(child.stdout, 'data');
    const tookMs = performance.now() - startMs;
    const exited = once(child.process, 'exit');
    child.stdin.end();
    await exited;
    lease?.release();
    return tookMs;
  };
}

/** The whole start where a child waits; that the next one is there is seen to outside the time that counts. */
function createWarm(workshop: Workshop): { start: Start; close(): Promise<void> } {
  const { owner, end } = createOwner();
  const real = workshop.open(owner, { id: 'bench.warm', artifact });
  return {
    async start() {
      const startMs = performance.now();
      await real.arm();
      const tookMs = performance.now() - startMs;
      const mark = real.entered.length;
      real.runtime.command('stop');
      await real.reached('stopped', mark);
      await sleep(untilNextIsThereMs);
      return tookMs;
    },
    close: end,
  };
}

/** The whole start, as a runtime goes through it: uid, plan, cage, handshake, the artifact loaded, state ready. */
const createWhole = (workshop: Workshop, program: RealOptions['artifact'], count = 1): Start => {
  return async () => {
    const { owner, end } = createOwner();
    const reals = Array.from({ length: count }, (_, n) => workshop.open(owner, { id: `bench.start-${n}`, artifact: program }));
    const startMs = performance.now();
    const armed = await Promise.all(reals.map(({ runtime }) => runtime.arm()));
    const tookMs = performance.now() - startMs;
    await end();
    const failed = armed.find(({ ok }) => !ok);
    if (failed && !failed.ok) throw new Error(`a child did not start: ${failed.message}`);
    return tookMs;
  };
};

const names = {
  minimal: 'minimal Node, same cage',
  guarded: 'the same, with our flags',
  js: 'JS child',
  warm: 'JS child, one waits',
  native: 'native child',
} as const;
type Row = { what: string; ms: Spread; against_minimal: Spread };

export async function measure(): Promise<Report> {
  const workshop = await openWorkshop();
  if (workshop.level !== 'isolated') return { table: 'skipped: the cage needs bwrap', figures: { skipped: workshop.level } };
  const warm = createWarm(await openWorkshop('isolated', undefined, { warmChildren: 1 }));
  const native = compilePlugin('faults/forker.c');
  const starts: [string, Start][] = [
    [names.minimal, await createMinimal(false)],
    [names.guarded, await createMinimal(true)],
    [names.js, createWhole(workshop, artifact)],
    [names.warm, warm.start],
    ...(native ? [[names.native, createWhole(workshop, native)] satisfies [string, Start]] : []),
  ];
  const tookMs = new Map<string, number[]>(starts.map(([name]) => [name, []]));
  tell(`${rounds + 1} rounds of single starts`);
  for (let round = 0; round <= rounds; round++)
    for (let turn = 0; turn < starts.length; turn++) {
      const [name, start] = starts[(round + turn) % starts.length] as [string, Start]; // the index is within
      const took = await start();
      if (round > 0) tookMs.get(name)?.push(took); // the first only warms up
    }
  await warm.close();
  const base = tookMs.get(names.minimal) ?? [];
  const rows: Row[] = [...tookMs].map(([what, values]) => ({ what, ms: spread(values), against_minimal: ratios(values, base) }));
  const together: number[] = [];
  const many = createWhole(workshop, artifact, burst);
  tell(`${burst} children at once`);
  for (let round = 0; round < burstRounds; round++) together.push(await many());
  return { table: draw(rows, spread(together)), figures: { rounds, rows, [`${burst}_at_once_ms`]: spread(together) } };
}

function draw(rows: readonly Row[], together: Spread): string {
  const head = ['spawn to ready', 'ms', 'low to high', 'x minimal', 'low to high'];
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const { what, ms, against_minimal } of rows) table.push([what, ...showSpread(ms, 1), ...showSpread(against_minimal, 2)]);
  table.push([`${burst} JS children at once, all ready`, ...showSpread(together), '', '']);
  return table.toString();
}
