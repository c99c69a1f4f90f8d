import Table from 'cli-table3';
import { createRealClock, delay } from '../supervisor/clock.ts';
import { drive } from './children/drive.js';
import type { Driven } from './contenders/contender.ts';
import { type Fleet, idOf, openFleet } from './many-plugins.ts';
import { createOwner } from './owner.ts';
import { tell } from './progress.ts';
import { clients, createTokens, openClients } from './rest-clients.ts';
import { type Spread, spread } from './spread.ts';
import type { Report } from './suites.ts';

const steps = [1, 10, 100, 300];
const rounds = 3;
const idleMs = 2_000;
const callsPerStretch = 1_500;
const warmCallsEach = 100; // V8 has compiled what a call needs; each child does that for itself
const clock = createRealClock();
const perSecond = ({ count, elapsedMs }: Pick<Driven, 'count' | 'elapsedMs'>): number => (count / elapsedMs) * 1000;

type Step = {
  plugins: number;
  arm_ms_each: number;
  cold_calls_per_second: number; // the first calls after each child has answered one
  calls_per_second: Spread;
  p99_ms: Spread;
  idle: { cpu_percent: number; delay_p99_ms: number; delay_most_ms: number };
  busy: { delay_p99_ms: number; delay_most_ms: number };
  service_rss_mib: number;
  service_pss_mib: number; // most of Node's own pages are shared with the children
  children_pss_mib: number; // of all together, with their cages
};

/** What so many plugins cost while nobody calls them, and what calls cost that go round among them. */
async function measureStep(fleet: Fleet, tokens: readonly string[], plugins: number, armMsEach: number): Promise<Step> {
  const body = JSON.stringify({ service: 'tool', method: 'echo', payload: 'x'.repeat(100) });
  let serial = 0;
  const side = openClients({ url: fleet.url(), nextPath: () => `/api/plugins/${idOf(serial++ % plugins)}/call`, body, tokens });
  try {
    await drive(side.ask, plugins + clients, clients); // each child has answered once
    await fleet.readDelay();
    const cpuBefore = fleet.cpuMs();
    await delay(clock, idleMs);
    const idleCpuMs = fleet.cpuMs() - cpuBefore;
    const idle = await fleet.readDelay();
    const cold = await drive(side.ask, callsPerStretch, clients);
    await drive(side.ask, plugins * warmCallsEach, clients);
    await fleet.readDelay();
    const stretches = [];
    for (let round = 0; round < rounds; round++) stretches.push(await drive(side.ask, callsPerStretch, clients));
    const busy = await fleet.readDelay();
    const { service, pssMibBelow } = fleet.memory();
    return {
      plugins,
      arm_ms_each: armMsEach,
      cold_calls_per_second: perSecond(cold),
      calls_per_second: spread(stretches.map(perSecond)),
      p99_ms: spread(stretches.map(({ p99Us }) => p99Us / 1000)),
      idle: { cpu_percent: (idleCpuMs / idleMs) * 100, delay_p99_ms: idle.p99Ms, delay_most_ms: idle.mostMs },
      busy: { delay_p99_ms: busy.p99Ms, delay_most_ms: busy.mostMs },
      service_rss_mib: service.rssMib,
      service_pss_mib: service.pssMib,
      children_pss_mib: pssMibBelow,
    };
  } finally {
    await side.close();
  }
}

export async function measure(): Promise<Report> {
  const { owner, end } = createOwner();
  try {
    const most = Math.max(...steps);
    const fleet = await openFleet(owner, most);
    const tokens = await createTokens(fleet.api);
    const rows: Step[] = [];
    let active = 0;
    for (const plugins of steps) {
      tell(`${plugins} plugins`);
      const tookMs = await fleet.grow(plugins);
      rows.push(await measureStep(fleet, tokens, plugins, tookMs / (plugins - active)));
      active = plugins;
    }
    tell('restart');
    const restartMs = await fleet.restart();
    const line = `restart of the service: all ${most} armed ${Math.round(restartMs)} ms after its start`;
    return { table: `${draw(rows)}\n${line}`, figures: { clients, steps: rows, restart_ms: restartMs } };
  } finally {
    await end();
  }
}

function draw(rows: readonly Step[]): string {
  const head = [
    ...['plugins', 'ms to arm one', 'calls/s cold', 'warm', 'p99 ms', 'delay p99 ms busy', 'idle', 'idle CPU %'],
    ...['service RSS MiB', 'PSS', 'children PSS MiB', 'each'],
  ];
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const row of rows)
    table.push([
      ...[
        row.plugins,
        row.arm_ms_each.toFixed(0),
        row.cold_calls_per_second.toFixed(0),
        row.calls_per_second.median.toFixed(0),
        row.p99_ms.median.toFixed(1),
      ],
      ...[row.busy.delay_p99_ms.toFixed(1), row.idle.delay_p99_ms.toFixed(1), row.idle.cpu_percent.toFixed(1)],
      ...[
        row.service_rss_mib.toFixed(0),
        row.service_pss_mib.toFixed(0),
        row.children_pss_mib.toFixed(0),
        (row.children_pss_mib / row.plugins).toFixed(1),
      ],
    ]);
  return table.toString();
}
