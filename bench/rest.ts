import { spawn } from 'node:child_process';
import { once } from 'node:events';
import Table from 'cli-table3';
import { createHome, startService } from '../test/support/start-service.ts';
import { drive } from './children/drive.js';
import { childFile } from './contenders/raw.ts';
import { quantile } from './neighbour.ts';
import { createOwner } from './owner.ts';
import { clients, createTokens, openClients, type Side } from './rest-clients.ts';
import type { Report } from './run.ts';
import { ratios, showSpread } from './spread.ts';

const rounds = 9;
const callsPerStretch = 2_000;
const payload = 'x'.repeat(100);
async function openKoa(answer: string): Promise<Side> {
  const child = spawn(process.execPath, [childFile('koa-route.js'), answer], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(child.stdout, 'data');
  const side = openClients({ url: `http://127.0.0.1:${String(port).trim()}`, nextPath: () => '/call', body: '{}', tokens: ['none'] });
  return {
    ask: side.ask,
    async close() {
      await side.close();
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** The real service as a process of its own. */
async function openService(owner: ReturnType<typeof createOwner>['owner']): Promise<Side> {
  const home = createHome(owner);
  home.place({
    id: 'test.echo',
    source: 'export default { services: { tool: { echo: (payload) => payload } } };',
    services: { tool: ['echo'] },
  });
  const service = await startService(home);
  await service.setStatus('test.echo', 'installed');
  await service.setStatus('test.echo', 'active');
  return openClients({
    url: service.url,
    nextPath: () => '/api/plugins/test.echo/call',
    body: JSON.stringify({ service: 'tool', method: 'echo', payload }),
    tokens: await createTokens(service.api),
  });
}

export async function measure(): Promise<Report> {
  const { owner, end } = createOwner();
  const sides: Side[] = [];
  try {
    const service = await openService(owner);
    sides.push(service);
    const koa = await openKoa(String(await service.ask()));
    sides.push(koa);
    const contenders = { 'bare Koa route': koa, 'REST to child and back': service };
    const stretches: Record<string, Awaited<ReturnType<typeof drive>>[]> = {};
    for (let round = 0; round <= rounds; round++)
      for (const [name, { ask }] of Object.entries(contenders)) {
        const driven = await drive(ask, callsPerStretch, clients);
        if (round > 0) stretches[name] = [...(stretches[name] ?? []), driven]; // the first only warms up
      }
    return summarize(stretches);
  } finally {
    for (const { close } of sides) await close();
    await end();
  }
}

function summarize(stretches: Record<string, Awaited<ReturnType<typeof drive>>[]>): Report {
  const perSecond = (name: string) => (stretches[name] ?? []).map(({ count, elapsedMs }) => (count / elapsedMs) * 1000);
  const base = perSecond('bare Koa route');
  const middle = (values: readonly number[]) => quantile(values, 0.5) ?? 0;
  const rows = Object.entries(stretches).map(([name, all]) => ({
    name,
    per_second: middle(perSecond(name)),
    ratio: ratios(perSecond(name), base),
    p50_us: middle(all.map(({ p50Us }) => p50Us)),
    p99_us: middle(all.map(({ p99Us }) => p99Us)),
  }));
  const table = new Table({
    head: ['what', 'calls/s', 'x Koa', 'low-high', 'p50 µs', 'p99 µs'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, per_second, ratio, p50_us, p99_us } of rows)
    table.push([...[name, per_second.toFixed(0), ...showSpread(ratio, 2)], ...[p50_us.toFixed(0), p99_us.toFixed(0)]]);
  return { table: table.toString(), figures: { clients, rounds, rows } };
}
