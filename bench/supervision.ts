import Table from 'cli-table3';
import { defaultResources } from '../protocol/manifest.ts';
import { createRealClock } from '../supervisor/clock.ts';
import { readBomb } from '../test/children/bombs/compile-native.ts';
import { openWorkshop, type RealRuntime, type Workshop } from '../test/support/real-runtime.ts';
import { type Abuse, listAbuses } from './abuses.ts';
import { callUntil, createWindow, median, quantile } from './neighbour.ts';
import { tell } from './progress.ts';
import type { Report } from './suites.ts';

type Round = { detectionMs: number | null; recoveryMs: number | null; rssGrowthBytes: number; quietMs: number[]; abusedMs: number[] };
export type Row = {
  abuse: string;
  rounds: number;
  detection_ms: number | null;
  recovery_ms: number | null;
  rss_growth_mib: number | null;
  calls: number;
  quiet: { p50_ms: number | null; p99_ms: number | null };
  abused: { p50_ms: number | null; p99_ms: number | null };
  p99_ratio: number | null; // the median of the rounds'
  ended_by: string | null;
  skipped?: string;
};

const clock = createRealClock();
const quietMs = 800;
const manyPlugins = 50;
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {}); // only with --expose-gc

/** The same neighbour is called in turns without and with the abuse, so that both see the same machine. */
async function measureRound(abuse: Abuse, real: RealRuntime, neighbour: RealRuntime): Promise<Round> {
  collect();
  const quiet = await callUntil(neighbour, clock, createWindow(clock, quietMs));
  const rssBefore = process.memoryUsage.rss();
  const startMs = clock.monotonicMs();
  const since = () => clock.monotonicMs() - startMs;
  let detectedMs: number | null = null;
  let recoveredMs: number | null = null;
  abuse.begin(real);
  const { goesOn } = abuse;
  if (!goesOn)
    void real
      .until(() => real.runtime.state() !== 'ready')
      .then(() => {
        detectedMs = since();
        return real.until(() => ['ready', 'failed'].includes(real.runtime.state()));
      })
      .then(() => {
        recoveredMs = since();
      });
  const windowOver = createWindow(clock, goesOn?.lengthMs ?? 0);
  const abused = await callUntil(neighbour, clock, () => {
    if (goesOn && detectedMs === null && goesOn.noticed(real.run().counters())) detectedMs = since();
    return goesOn ? windowOver() : recoveredMs !== null;
  });
  return {
    detectionMs: detectedMs,
    recoveryMs: detectedMs === null || recoveredMs === null ? null : recoveredMs - detectedMs,
    rssGrowthBytes: Math.max(0, abused.mostRssBytes - rssBefore),
    quietMs: quiet.latenciesMs,
    abusedMs: abused.latenciesMs,
  };
}

async function measureAbuse(workshop: Workshop, abuse: Abuse, neighbour: RealRuntime): Promise<Row> {
  if (workshop.level !== 'isolated') return skipRow(abuse.name, 'the cage needs bwrap');
  if (abuse.artifact === null) return skipRow(abuse.name, 'no C compiler with a static libc');
  const ends: (() => unknown)[] = [];
  const resources = { ...defaultResources, memory_mib: 64 };
  const real = workshop.open(asOwner(ends), { id: 'test.abuser', artifact: abuse.artifact, launch: { resources } });
  const rounds: Round[] = [];
  let endedBy: string | null = null;
  try {
    await real.runtime.arm();
    for (let round = 0; round < abuse.rounds; round++) {
      rounds.push(await measureRound(abuse, real, neighbour));
      if (abuse.goesOn) await endFlood(real);
      else endedBy = real.lastExit()?.cause ?? null;
      real.runtime.reset(); // each round begins with the shortest backoff
    }
  } finally {
    for (const end of ends) await end();
  }
  return summarize(abuse.name, rounds, endedBy);
}

async function endFlood(real: RealRuntime): Promise<void> {
  real.run().kill();
  await real.until(() => real.runtime.state() !== 'ready');
  await real.until(() => real.runtime.state() === 'ready');
}

const asOwner = (ends: (() => unknown)[]) => ({ teardown: (end: () => unknown) => void ends.push(end) }) as Parameters<Workshop['open']>[0]; // all that open asks of a test

const describe = (latenciesMs: readonly number[]) => ({ p50_ms: quantile(latenciesMs, 0.5), p99_ms: quantile(latenciesMs, 0.99) });

function summarize(abuse: string, rounds: readonly Round[], endedBy: string | null): Row {
  const abusedMs = rounds.flatMap((round) => round.abusedMs);
  return {
    abuse,
    rounds: rounds.length,
    detection_ms: median(rounds.map(({ detectionMs }) => detectionMs)),
    recovery_ms: median(rounds.map(({ recoveryMs }) => recoveryMs)),
    rss_growth_mib: Math.max(...rounds.map(({ rssGrowthBytes }) => rssGrowthBytes)) / 2 ** 20,
    calls: abusedMs.length,
    quiet: describe(rounds.flatMap((round) => round.quietMs)),
    abused: describe(abusedMs),
    p99_ratio: median(rounds.map((round) => ratioOf(round.abusedMs, round.quietMs))),
    ended_by: endedBy,
  };
}

function ratioOf(abusedMs: readonly number[], quietMs: readonly number[]): number | null {
  const [abused, quiet] = [quantile(abusedMs, 0.99), quantile(quietMs, 0.99)];
  return abused === null || quiet === null ? null : abused / quiet;
}

const skipRow = (abuse: string, skipped: string): Row => ({
  ...{ abuse, rounds: 0, detection_ms: null, recovery_ms: null, rss_growth_mib: null, calls: 0, p99_ratio: null, ended_by: null, skipped },
  quiet: describe([]),
  abused: describe([]),
});

/** Half of them obey; the others are deaf to SIGTERM, in a busy loop, or never answer shutdown. */
async function measureStop(workshop: Workshop): Promise<{ plugins: number; armedMs: number; stopMs: number }> {
  const ends: (() => unknown)[] = [];
  const artifact = `export default { services: { tool: {
    deafen() { process.removeAllListeners('SIGTERM').on('SIGTERM', () => {}); return null; },
    spin() { console.error('spinning'); for (;;); },
  } }, onShutdown: ({ config }) => (config.silent ? new Promise(() => {}) : undefined) };`;
  const plugins = Array.from({ length: manyPlugins }, (_, n) =>
    workshop.open(asOwner(ends), { id: `test.many-${n}`, artifact, launch: { config: { silent: n % 6 === 5 } } }),
  );
  try {
    const startMs = clock.monotonicMs();
    for (let n = 0; n < plugins.length; n += 5) await Promise.all(plugins.slice(n, n + 5).map(({ runtime }) => runtime.arm()));
    const armedMs = clock.monotonicMs() - startMs;
    for (const [n, real] of plugins.entries()) {
      if (n % 6 === 1) await real.invoke('deafen');
      if (n % 6 !== 3) continue;
      void real.invoke('spin').catch(() => {});
      await real.heard('spinning');
    }
    const stopStartMs = clock.monotonicMs();
    await Promise.all(plugins.map(({ runtime }) => runtime.stop()));
    return { plugins: plugins.length, armedMs, stopMs: clock.monotonicMs() - stopStartMs };
  } finally {
    for (const end of ends) await end();
  }
}

const show = (value: number | null, digits = 0): string => (value === null ? '-' : value.toFixed(digits));

function drawTable(rows: readonly Row[]): string {
  const table = new Table({
    head: [
      'abuse',
      'rounds',
      'detected ms',
      'recovered ms',
      'RSS +MiB',
      'calls',
      'p50 quiet',
      'p50 abused',
      'p99 quiet',
      'p99 abused',
      'p99 x',
      'cause',
    ],
    style: { head: [], border: [] },
  });
  for (const { abuse, rounds, quiet, abused, ...row } of rows)
    table.push([
      ...[abuse, rounds, show(row.detection_ms, 1), show(row.recovery_ms), show(row.rss_growth_mib, 1), row.calls],
      ...[
        show(quiet.p50_ms, 2),
        show(abused.p50_ms, 2),
        show(quiet.p99_ms, 2),
        show(abused.p99_ms, 2),
        show(row.p99_ratio, 2),
        row.skipped ?? row.ended_by ?? 'lives on',
      ],
    ]);
  return table.toString();
}

/** Each abuse against a plugin beside it: how fast it is noticed and over, what it costs the supervisor and the neighbour. */
export async function measureAbuses(workshop: Workshop, abuses: readonly Abuse[]): Promise<{ table: string; rows: Row[] }> {
  const ends: (() => unknown)[] = [];
  const neighbour = workshop.open(asOwner(ends), { id: 'test.neighbour', artifact: readBomb('floods.js') });
  const rows: Row[] = [];
  try {
    await neighbour.runtime.arm();
    await callUntil(neighbour, clock, createWindow(clock, quietMs)); // code is compiled on first use
    for (const abuse of abuses) {
      tell(abuse.name);
      rows.push(await measureAbuse(workshop, abuse, neighbour));
    }
  } finally {
    for (const end of ends) await end();
  }
  return { table: drawTable(rows), rows };
}

export async function measure(): Promise<Report> {
  const workshop = await openWorkshop();
  const { table, rows } = await measureAbuses(workshop, listAbuses());
  tell(`stop of ${manyPlugins} plugins`);
  const stop = await measureStop(workshop);
  const line = `${stop.plugins} plugins, half of them deaf, busy or silent: stopped together in ${Math.round(stop.stopMs)} ms`;
  return { table: `${table}\n${line}`, figures: { level: workshop.level, abuses: rows, stop } };
}
