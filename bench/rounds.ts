import Table from 'cli-table3';
import { reference } from './contenders/all.ts';
import { type Contender, sizes } from './contenders/contender.ts';
import type { Direction, Stretch } from './directions.ts';
import { quantile } from './neighbour.ts';
import { openParent, type Parent } from './open-parent.ts';
import { tell } from './progress.ts';
import { ratios, type Spread, showRange, spread } from './spread.ts';
import type { Report } from './suites.ts';

export type Cell = {
  contender: string;
  bytes: number;
  in_flight: number;
  calls_per_second: Spread;
  ratio_to_raw: Spread; // of the same round
  p50_us: number;
  p99_us: number;
  parent_cpu_us: number; // per call
  child_cpu_us: number;
};

const rounds = 7;
const stretchMs = 120;
const flights = [1, 64] as const;
const warmUpCalls = 20_000; // V8 has done its work then; an end that stays up for days is warm

/** All contenders in turns, in each round in another order, so that a noisy moment hits all alike. */
export async function measureRounds(contenders: readonly Contender[], direction: Direction): Promise<Report> {
  const opened = await Promise.all(contenders.map(({ name }) => openParent(name, direction)));
  const parents = opened.filter((parent) => parent !== null);
  const cells: Cell[] = [];
  try {
    tell(`warming up, ${warmUpCalls} calls each`);
    for (const parent of parents) await parent.measure({ bytes: sizes[0], count: warmUpCalls, inFlight: 1 });
    for (const bytes of sizes)
      for (const inFlight of flights) {
        tell(`${bytes} bytes, ${inFlight} in flight`);
        cells.push(...(await measureCell(parents, bytes, inFlight)));
      }
  } finally {
    await Promise.all(parents.map((parent) => parent.close()));
  }
  return { table: drawTable(cells), figures: { rounds, cells } };
}

async function measureCell(parents: readonly Parent[], bytes: number, inFlight: number): Promise<Cell[]> {
  const counts = new Map<string, number>();
  for (const parent of parents) counts.set(parent.name, await calibrate(parent, bytes, inFlight));
  const stretches = new Map<string, Stretch[]>(parents.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < parents.length; turn++) {
      const parent = parents[(round + turn) % parents.length] as Parent; // the index is within
      stretches.get(parent.name)?.push(await parent.measure({ bytes, count: counts.get(parent.name) ?? 1, inFlight }));
    }
  const raw = (stretches.get(reference) ?? []).map(perSecond);
  return parents.map(({ name }) => summarize(name, bytes, inFlight, stretches.get(name) ?? [], raw));
}

/** How many calls fill a stretch. */
async function calibrate(parent: Parent, bytes: number, inFlight: number): Promise<number> {
  const first = await parent.measure({ bytes, count: 300, inFlight });
  const warm = await parent.measure({ bytes, count: Math.max(100, Math.round((perSecond(first) * stretchMs) / 1000)), inFlight });
  return Math.max(100, Math.round((perSecond(warm) * stretchMs) / 1000));
}

const perSecond = ({ count, elapsedMs }: Stretch): number => (count / elapsedMs) * 1000;
const middle = (values: readonly number[]): number => quantile(values, 0.5) ?? Number.NaN;

const summarize = (contender: string, bytes: number, inFlight: number, stretches: readonly Stretch[], raw: readonly number[]): Cell => ({
  contender,
  bytes,
  in_flight: inFlight,
  calls_per_second: spread(stretches.map(perSecond)),
  ratio_to_raw: ratios(stretches.map(perSecond), raw),
  p50_us: middle(stretches.map(({ p50Us }) => p50Us)),
  p99_us: middle(stretches.map(({ p99Us }) => p99Us)),
  parent_cpu_us: middle(stretches.map(({ parentCpuUs, count }) => parentCpuUs / count)),
  child_cpu_us: middle(stretches.map(({ childCpuUs, count }) => childCpuUs / count)),
});

const show = (us: number): string => (Number.isNaN(us) ? '-' : us.toFixed(1)); // of a contender that does not tell

function drawTable(cells: readonly Cell[]): string {
  const table = new Table({
    head: [
      'bytes',
      'in flight',
      'contender',
      'calls/s',
      'low to high',
      'x raw',
      'low to high',
      'p50 µs',
      'p99 µs',
      'cpu µs parent',
      'child',
    ],
    style: { head: [], border: [], compact: true },
  });
  for (const cell of cells) {
    const { calls_per_second: calls, ratio_to_raw: ratio } = cell;
    table.push([
      ...[cell.bytes, cell.in_flight, cell.contender, calls.median.toFixed(0), showRange(calls)],
      ...[ratio.median.toFixed(2), showRange(ratio, 2), cell.p50_us.toFixed(0), cell.p99_us.toFixed(0)],
      ...[show(cell.parent_cpu_us), show(cell.child_cpu_us)],
    ]);
  }
  return table.toString();
}
