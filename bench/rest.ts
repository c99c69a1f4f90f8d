import { spawn } from 'node:child_process';
import { once } from 'node:events';
import Table from 'cli-table3';
import { findDescendants } from '../test/support/process-tree.ts';
import { createHome, startService } from '../test/support/start-service.ts';
import { drive } from './children/drive.js';
import { childFile } from './contenders/raw.ts';
import { quantile } from './neighbour.ts';
import { createOwner } from './owner.ts';
import { readThreadsCpuUs } from './proc.ts';
import { tell } from './progress.ts';
import { clients, createTokens, openClients, type Side } from './rest-clients.ts';
import { ratios, showSpread } from './spread.ts';
import type { Report } from './suites.ts';

const warmUps = 4; // V8 has compiled what a call needs
const rounds = 11;
const callsPerStretch = 2_000;
const payload = 'x'.repeat(100);
const body = JSON.stringify({ service: 'tool', method: 'echo', payload });

/** What answers, and which processes take part in it besides this one, which asks. */
type Contender = Side & { pid: number; children: readonly number[] };
type Stretch = Awaited<ReturnType<typeof drive>> & { serviceCpuUs: number; childrenCpuUs: number };

const bare = 'bare Koa route';
const routes = { [bare]: '/call', 'Koa route that reads the body': '/read' };

async function openKoa(answer: string): Promise<Record<string, Contender>> {
  const child = spawn(process.execPath, [childFile('koa-route.js'), answer], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(child.stdout, 'data');
  const url = `http://127.0.0.1:${String(port).trim()}`;
  const sides = Object.entries(routes).map(([name, path]) => ({
    name,
    ...openClients({ url, nextPath: () => path, body, tokens: ['none'] }),
  }));
  let open = sides.length;
  return Object.fromEntries(
    sides.map(({ name, ask, close }) => [
      name,
      {
        ...{ ask, pid: child.pid ?? 0, children: [] },
        async close() {
          await close();
          if (--open > 0) return;
          child.kill('SIGKILL');
          await once(child, 'exit');
        },
      },
    ]),
  );
}

/** The real service as a process of its own. */
async function openService(owner: ReturnType<typeof createOwner>['owner']): Promise<Contender> {
  const home = createHome(owner);
  home.place({
    id: 'test.echo',
    source: 'export default { services: { tool: { echo: (payload) => payload } } };',
    services: { tool: ['echo'] },
  });
  const service = await startService(home);
  await service.setStatus('test.echo', 'installed');
  await service.setStatus('test.echo', 'active');
  const side = openClients({
    url: service.url,
    nextPath: () => '/api/plugins/test.echo/call',
    body,
    tokens: await createTokens(service.api),
  });
  return { ...side, pid: service.pid, children: findDescendants(service.pid).map(({ pid }) => pid) };
}

export async function measure(): Promise<Report> {
  const { owner, end } = createOwner();
  const contenders: Record<string, Contender> = {};
  try {
    const service = await openService(owner);
    Object.assign(contenders, { 'REST to child and back': service });
    Object.assign(contenders, await openKoa(String(await service.ask())));
    const stretches: Record<string, Stretch[]> = {};
    tell(`${warmUps + rounds} rounds`);
    for (let round = -warmUps; round < rounds; round++)
      for (const [name, contender] of Object.entries(contenders)) {
        const driven = await driveOne(contender);
        if (round >= 0) stretches[name] = [...(stretches[name] ?? []), driven];
      }
    return summarize(stretches);
  } finally {
    for (const { close } of Object.values(contenders)) await close();
    await end();
  }
}

async function driveOne({ ask, pid, children }: Contender): Promise<Stretch> {
  const childrenCpuUs = () => children.reduce((sum, child) => sum + readThreadsCpuUs(child), 0);
  const before = { service: readThreadsCpuUs(pid), children: childrenCpuUs() };
  const driven = await drive(ask, callsPerStretch, clients);
  return { ...driven, serviceCpuUs: readThreadsCpuUs(pid) - before.service, childrenCpuUs: childrenCpuUs() - before.children };
}

function summarize(stretches: Record<string, Stretch[]>): Report {
  const perSecond = (all: readonly Stretch[]) => all.map(({ count, elapsedMs }) => (count / elapsedMs) * 1000);
  const perCall = (all: readonly Stretch[], of: 'cpuUs' | 'serviceCpuUs' | 'childrenCpuUs') => all.map((each) => each[of] / each.count);
  const middle = (values: readonly number[]) => quantile(values, 0.5) ?? 0;
  const base = stretches[bare] ?? [];
  const rows = Object.entries(stretches).map(([name, all]) => ({
    name,
    per_second: middle(perSecond(all)),
    ratio: ratios(perSecond(all), perSecond(base)),
    ratio_by_cpu: ratios(perCall(base, 'serviceCpuUs'), perCall(all, 'serviceCpuUs')),
    service_cpu_us: middle(perCall(all, 'serviceCpuUs')),
    child_cpu_us: middle(perCall(all, 'childrenCpuUs')),
    client_cpu_us: middle(perCall(all, 'cpuUs')),
    p50_us: middle(all.map(({ p50Us }) => p50Us)),
    p99_us: middle(all.map(({ p99Us }) => p99Us)),
  }));
  return { table: drawTable(rows), figures: { clients, rounds, rows } };
}

type Figures = { name: string; ratio: ReturnType<typeof ratios>; ratio_by_cpu: ReturnType<typeof ratios> } & Record<
  'per_second' | 'service_cpu_us' | 'child_cpu_us' | 'client_cpu_us' | 'p50_us' | 'p99_us',
  number
>;

/** `by cpu`: against what the bare route costs its process. The rest is what sharing the cores with the child and the clients costs. */
function drawTable(rows: readonly Figures[]): string {
  const table = new Table({
    head: ['what', 'calls/s', 'x Koa', 'low to high', 'by cpu', 'low to high', 'cpu µs service', 'child', 'clients', 'p50 µs', 'p99 µs'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, per_second, ratio, ratio_by_cpu, ...row } of rows)
    table.push([
      ...[name, per_second.toFixed(0), ...showSpread(ratio, 2), ...showSpread(ratio_by_cpu, 2)],
      ...[row.service_cpu_us, row.child_cpu_us, row.client_cpu_us].map((us) => us.toFixed(1)),
      ...[row.p50_us.toFixed(0), row.p99_us.toFixed(0)],
    ]);
  return table.toString();
}
