import { spawn } from 'node:child_process';
import { once } from 'node:events';
import Table from 'cli-table3';
import type { Test } from 'tap';
import { Client } from 'undici';
import { createHome, startService } from '../test/support/start-service.ts';
import { drive } from './children/drive.js';
import { childFile } from './contenders/raw.ts';
import { quantile } from './neighbour.ts';
import type { Report } from './run.ts';

const clients = 32;
const rounds = 9;
const callsPerStretch = 2_000;
const payload = 'x'.repeat(100);
type Ask = () => Promise<unknown>;
type Side = { ask: Ask; close(): Promise<void> };

/** So many connections that stay open, each used by one call at a time. */
function openClients(url: string, path: string, body: string, tokens: readonly string[]): Side {
  const pool = Array.from({ length: clients }, (_, n) => ({
    client: new Client(url),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens[n % tokens.length]}` },
  }));
  const idle = [...pool];
  return {
    async ask() {
      const mine = idle.pop();
      if (!mine) throw new Error('more calls than clients');
      const { statusCode, body: answer } = await mine.client.request({ path, method: 'POST', body, headers: mine.headers });
      const text = await answer.text();
      if (statusCode !== 200) throw new Error(`${statusCode}: ${text}`);
      idle.push(mine);
      return text;
    },
    close: async () => void (await Promise.all(pool.map(({ client }) => client.close()))),
  };
}

async function openKoa(answer: string): Promise<Side> {
  const child = spawn(process.execPath, [childFile('koa-route.js'), answer], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(child.stdout, 'data');
  const side = openClients(`http://127.0.0.1:${String(port).trim()}`, '/call', '{}', ['none']);
  return {
    ask: side.ask,
    async close() {
      await side.close();
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** The real service as a process of its own; each client has a token, because a token has a rate. */
async function openService(ends: (() => unknown)[]): Promise<Side> {
  const owner = { teardown: (end: () => unknown) => void ends.unshift(end) } as unknown as Test; // all that these ask of a test
  const home = createHome(owner);
  home.place({
    id: 'test.echo',
    source: 'export default { services: { tool: { echo: (payload) => payload } } };',
    services: { tool: ['echo'] },
  });
  const service = await startService(home);
  await service.setStatus('test.echo', 'installed');
  await service.setStatus('test.echo', 'active');
  const tokens: string[] = [];
  for (let n = 0; n < clients; n++) {
    const { body } = await service.api('POST', '/api/tokens', { name: `client-${n}`, scopes: ['plugin:call', 'plugin:admin'] });
    tokens.push(String(body.token));
  }
  return openClients(service.url, '/api/plugins/test.echo/call', JSON.stringify({ service: 'tool', method: 'echo', payload }), tokens);
}

export async function measure(): Promise<Report> {
  const ends: (() => unknown)[] = [];
  const sides: Side[] = [];
  try {
    const service = await openService(ends);
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
    for (const end of ends) await end();
  }
}

function summarize(stretches: Record<string, Awaited<ReturnType<typeof drive>>[]>): Report {
  const perSecond = (name: string) => (stretches[name] ?? []).map(({ count, elapsedMs }) => (count / elapsedMs) * 1000);
  const base = perSecond('bare Koa route');
  const middle = (values: readonly number[], share = 0.5) => quantile(values, share) ?? 0;
  const rows = Object.entries(stretches).map(([name, all]) => {
    const ratios = perSecond(name).map((each, round) => each / (base[round] ?? Number.NaN));
    return {
      name,
      per_second: middle(perSecond(name)),
      ratio: { median: middle(ratios), low: middle(ratios, 0.1), high: middle(ratios, 0.9) },
      p50_us: middle(all.map(({ p50Us }) => p50Us)),
      p99_us: middle(all.map(({ p99Us }) => p99Us)),
    };
  });
  const table = new Table({
    head: ['what', 'calls/s', 'x Koa', 'low-high', 'p50 µs', 'p99 µs'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, per_second, ratio, p50_us, p99_us } of rows)
    table.push([
      ...[name, per_second.toFixed(0), ratio.median.toFixed(2), `${ratio.low.toFixed(2)}-${ratio.high.toFixed(2)}`],
      ...[p50_us.toFixed(0), p99_us.toFixed(0)],
    ]);
  return { table: table.toString(), figures: { clients, rounds, rows } };
}
