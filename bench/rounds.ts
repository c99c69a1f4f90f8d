import Table from 'cli-table3';
import { type Contender, type Driven, type Session, sizes } from './contenders/contender.ts';
import { lattice } from './contenders/lattice.ts';
import { mcpSdk, vscodeJsonrpc } from './contenders/libraries.ts';
import { forkIpc, rawLines } from './contenders/raw.ts';
import { quantile } from './neighbour.ts';
import { tell } from './progress.ts';
import { ratios, type Spread, showRange, spread } from './spread.ts';
import type { Report } from './suites.ts';

/** One stretch of calls, with what it cost both processes. */
export type Stretch = Driven & { parentCpuUs: number; childCpuUs: number };
export type Direction = (session: Session, bytes: number, count: number, inFlight: number) => Promise<Stretch>;
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

export const contenders: readonly Contender[] = [rawLines, lattice, forkIpc('json'), forkIpc('advanced'), vscodeJsonrpc, mcpSdk];
const rounds = 7;
const stretchMs = 120;
const flights = [1, 64] as const;

/** All contenders in turns, in each round in another order, so that a noisy moment hits all alike. */
export async function measureRounds(contenders: readonly Contender[], direction: Direction): Promise<Report> {
  const sessions = await Promise.all(contenders.map(async ({ name, open }) => ({ name, session: await open() })));
  const cells: Cell[] = [];
  try {
    for (const bytes of sizes)
      for (const inFlight of flights) {
        tell(`${bytes} bytes, ${inFlight} in flight`);
        cells.push(...(await measureCell(sessions, direction, bytes, inFlight)));
      }
  } finally {
    await Promise.all(sessions.map(({ session }) => session.close()));
  }
  return { table: drawTable(cells), figures: { rounds, cells } };
}

type Open = { name: string; session: Session };

async function measureCell(sessions: readonly Open[], direction: Direction, bytes: number, inFlight: number): Promise<Cell[]> {
  const counts = new Map<string, number>();
  for (const { name, session } of sessions) counts.set(name, await calibrate(session, direction, bytes, inFlight));
  const stretches = new Map<string, Stretch[]>(sessions.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < sessions.length; turn++) {
      const { name, session } = sessions[(round + turn) % sessions.length] as Open; // the index is within
      stretches.get(name)?.push(await direction(session, bytes, counts.get(name) ?? 1, inFlight));
    }
  const raw = (stretches.get(rawLines.name) ?? []).map(perSecond);
  return sessions.map(({ name }) => summarize(name, bytes, inFlight, stretches.get(name) ?? [], raw));
}

/** How many calls fill a stretch; the code is warm behind it. */
async function calibrate(session: Session, direction: Direction, bytes: number, inFlight: number): Promise<number> {
  const first = await direction(session, bytes, 300, inFlight);
  const warm = await direction(session, bytes, Math.max(100, Math.round((perSecond(first) * stretchMs) / 1000)), inFlight);
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
