import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { ProcessId } from '../../../supervisor/sandbox/status.ts';
import { serveHttp } from '../local-servers.ts';
import { readChild } from '../sign-bundle.ts';
import { createHome, type startService } from '../start-service.ts';
import { createRegister, type Register } from './register.ts';

export type PluginState = { status: 'verified' | 'installed' | 'active' | 'disabled'; version: number; former: number[]; config: number };
export type Entry = { value: string; revision: number } | null;
/** A bucket has one writer here, so that the revisions it gives are known beforehand. */
export type Bucket = { name: string; entries: Map<string, Register<Entry>>; revision: number };
export type PluginModel = { id: string; state: Register<PluginState>; offered: number; bucket: Bucket; generation: number };
export type Service = Awaited<ReturnType<typeof startService>>;

export const bucketKeys = ['a', 'b', 'c', 'd', 'e'];
export const channel = 'ops';

/** The bytes of a version differ from those of another, and say which it is. */
const source = (version: number): string => `${readChild('durable.js')}\n// ${version}\n`;
const generous = { per_second: 10_000, burst: 10_000 };

const createBucket = (name: string): Bucket => ({
  name,
  entries: new Map(bucketKeys.map((key) => [key, createRegister<Entry>(null)])),
  revision: 0,
});

/** A data directory that lives through crashes, what is known of it, and what the plugins did outside. `idle` plugins only run. */
export async function createWorld(
  t: Test,
  random: () => number,
  options: { plugins: number; idle?: number; env?: Record<string, string> },
) {
  const home = createHome(t);
  const side = testSide(t);
  const fetched = new Map<string, number>(); // by plugin: requests that arrived
  const answer = ({ url }: { url: string }, response: http.ServerResponse) => {
    const plugin = url.split('/')[1] ?? '';
    fetched.set(plugin, (fetched.get(plugin) ?? 0) + 1);
    response.end('done');
  };
  const { port } = await serveHttp(t, (seen, response) => {
    seen.headers = {}; // what is kept of each is never looked at
    answer(seen, response);
  });
  const plugins = Array.from({ length: options.plugins }, (_, at) => createPlugin(`test.p${at}`));
  const idle = Array.from({ length: options.idle ?? 0 }, (_, at) => `test.idle${at}`);
  const names = plugins.map(({ id }) => id);
  writeFileSync(join(home.root, 'channels.json'), JSON.stringify({ channels: { [channel]: { type: 'log', plugins: names } } }), {
    mode: 0o600,
  });
  writeFileSync(
    join(home.root, 'policy.json'),
    JSON.stringify({ rates: { read: generous, effect: generous, fetch: generous, notify: generous } }),
    {
      mode: 0o600,
    },
  );

  function place(id: string, version: number): void {
    const capabilities = ['kv:write', 'notify:send', 'http:egress'];
    const more = { version: `1.0.${version}`, egress: [`127.0.0.1:${port}`] };
    home.place({ id, source: source(version), capabilities, services: { tool: ['put', 'del', 'notify', 'fetch'] }, more });
  }
  for (const id of [...names, ...idle]) place(id, 0);

  return {
    home,
    side,
    random,
    plugins,
    idle,
    operator: createBucket('operator'),
    tokens: new Map<string, Register<'none' | 'live' | 'revoked'>>(),
    tokenIds: new Map<string, string>(),
    fetched,
    place,
    url: (id: string, what: string) => `http://127.0.0.1:${port}/${id}/${what}`,
    children: new Map<string, ProcessId>(),
    env: {
      LATTICE_POLICY: join(home.root, 'policy.json'),
      LATTICE_NOTIFY_CHANNELS: join(home.root, 'channels.json'),
      LATTICE_EGRESS_ALLOW: names.map((id) => `${id}=127.0.0.1/32:${port}`).join(','),
      ...options.env,
    } as Record<string, string>,
    tally: { kills: 0, restarts: 0, acknowledged: 0, refused: 0, postponed: 0, readyMs: [] as number[] },
    violations: [] as string[],
  };
}
export type World = Awaited<ReturnType<typeof createWorld>>;

/** What is not the service's: a power cut leaves it as it is. */
function testSide(t: Test): string {
  const side = mkdtempSync(join(tmpdir(), 'lattice-side-'));
  t.teardown(() => rmSync(side, { recursive: true }));
  return side;
}

const createPlugin = (id: string): PluginModel => ({
  id,
  state: createRegister<PluginState>({ status: 'verified', version: 0, former: [], config: 0 }),
  offered: 0,
  bucket: createBucket(`plugin:${id}`),
  generation: 0,
});
