import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { placeBundle } from '../../supervisor/publish/place-bundle.ts';
import { openTree } from '../../supervisor/staging-folder.ts';
import { type BundleOrder, signBundle, testPublisher, trustPolicy } from './sign-bundle.ts';

const entries = {
  serve: [fileURLToPath(new URL('../../supervisor/cli/lattice.js', import.meta.url)), 'serve'],
  built: [fileURLToPath(new URL('../../dist/supervisor/cli/entry.js', import.meta.url)), 'serve'], // after `npm run build`
  start: [fileURLToPath(new URL('../../supervisor/dev/start.ts', import.meta.url))],
  killing: [fileURLToPath(new URL('./serve-killing.ts', import.meta.url))],
} as const;

/** A test that is ended from outside has no teardown: then the kernel ends the service, where the program that asks for that is installed. */
const setpriv = '/usr/bin/setpriv';
const dieWithUs = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--'] : [];

export type LogEvent = Record<string, unknown> & { event: string };
export type Answer = { status: number; body: Record<string, unknown> };
export type Home = ReturnType<typeof createHome>;
export type TestService = Awaited<ReturnType<typeof startService>>;

/** The folders of one service, its trust policy and the key that the policy trusts; gone with the test, and what runs on them as well. */
export function createHome(t: Pick<Test, 'teardown'>) {
  const root = mkdtempSync(join(tmpdir(), 'lattice-test-'));
  const home = {
    root,
    dataDir: join(root, 'data'),
    pluginDir: join(root, 'bundles'),
    trustFile: join(root, 'trust.json'),
    key: generateKeyPairSync('ed25519').privateKey as KeyObject,
    running: new Set<ChildProcess>(),
    /** Done once no service runs any more and before the folders go, however the test ends: what stands in the way of their removal. */
    clearing: [] as (() => void)[],
    place: (order: Omit<BundleOrder, 'key'> & Partial<Pick<BundleOrder, 'key'>>) =>
      void placeBundle(signBundle({ key: home.key, ...order }), home.pluginDir),
    remove: (id: string) => rmSync(join(home.pluginDir, id), { recursive: true }),
    token: () => readFileSync(join(home.dataDir, 'admin.token'), 'utf8').trim(),
  };
  mkdirSync(home.pluginDir);
  writeFileSync(home.trustFile, trustPolicy({ [testPublisher]: home.key }));
  t.teardown(async () => {
    await Promise.all([...home.running].map(killAndWait));
    clear();
  });
  const clear = () => {
    for (const step of home.clearing.splice(0)) step();
    removeTree(root);
  };
  process.once('exit', () => {
    if (!existsSync(root)) return;
    for (const child of home.running) child.kill('SIGKILL'); // a test file that throws outside a test has no teardown
    clear();
  });
  return home;
}

function killAndWait(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('close', () => resolve());
    child.kill('SIGKILL');
  });
}

/** Staged bundles lie in folders that nobody may write, not even their owner. */
export function removeTree(root: string): void {
  openTree(root);
  rmSync(root, { recursive: true, maxRetries: 5 });
}

type StartOptions = { entry?: keyof typeof entries; env?: Record<string, string> };

function spawnService(home: Home, { entry = 'serve', env = {} }: StartOptions) {
  const settings: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    SUITE_RUN: process.env.SUITE_RUN ?? '',
    LATTICE_LISTEN: '127.0.0.1:0',
    LATTICE_DATA_DIR: home.dataDir,
    LATTICE_LOG_LEVEL: 'info',
    ...(entry !== 'start'
      ? { LATTICE_PLUGIN_DIR: home.pluginDir, LATTICE_PLUGIN_TRUST: home.trustFile, LATTICE_SANDBOX: 'auto', ...rootSettings() }
      : {}),
    ...env,
  };
  // A test runner adds to the environment of what a test spawns: only this may be there.
  const only = ['-i', ...Object.entries(settings).flatMap(([name, value]) => (value === '' ? [] : [`${name}=${value}`]))];
  const [file = '', ...args] = [...dieWithUs, '/usr/bin/env', ...only, process.execPath, ...entries[entry]];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  home.running.add(child);
  const events = collectEvents(child);
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('close', (code, signal) => {
      home.running.delete(child);
      events.end();
      resolve({ code, signal });
    }),
  );
  return { child, events, exited };
}

/** A start that is to be refused: its exit code, and all that it said. */
export async function startInVain(home: Home, options: StartOptions = {}): Promise<{ code: number | null; output: string }> {
  const { events, exited } = spawnService(home, options);
  const { code } = await exited;
  return { code, output: events.output() };
}

/** Starts the real service as a process of its own and waits until it says that it is ready. */
export async function startService(home: Home, options: StartOptions = {}) {
  const { child, events, exited } = spawnService(home, options);
  const { url } = await events.heard(({ event }) => event === 'service.ready' || event === 'service.safe-mode');
  const token = home.token();
  return {
    pid: child.pid ?? 0,
    url: String(url),
    exited,
    signal: (name: NodeJS.Signals) => void child.kill(name),
    output: events.output,
    heard: events.heard,
    count: events.count,
    /** Waits until the plugin's runtime has entered the state, or gives up; `after` counts only what was said since. */
    async entered(plugin: string, to: string, after = 0): Promise<LogEvent> {
      const isEnd = (said: LogEvent) =>
        said.event === 'plugin.runtime' && said.plugin === plugin && [to, 'failed'].includes(String(said.to));
      const said = await events.heard(isEnd, after);
      if (said.to !== to) throw new Error(`${plugin} gave up before it was ${to}:\n${events.output().slice(-4000)}`);
      return said;
    },
    ...createApi(String(url), token),
  };
}

const rootSettings = (): Record<string, string> => (process.getuid?.() === 0 ? { LATTICE_ALLOW_ROOT: '1' } : {});

/** The service's own log, one JSON object a line, kept in the order in which it was said. */
function collectEvents(child: ChildProcess) {
  const said: LogEvent[] = [];
  const text: string[] = [];
  let ended = false;
  let waiting: (() => void)[] = [];
  const wake = () => {
    const all = waiting;
    waiting = [];
    for (const each of all) each();
  };
  for (const stream of [child.stdout, child.stderr])
    if (stream)
      createInterface({ input: stream }).on('line', (line) => {
        text.push(line);
        if (line.startsWith('{')) said.push(JSON.parse(line));
        wake();
      });
  return {
    count: () => said.length,
    output: () => text.join('\n'),
    end() {
      ended = true;
      wake();
    },
    async heard(matches: (event: LogEvent) => boolean, after = 0): Promise<LogEvent> {
      for (;;) {
        const found = said.slice(after).find(matches);
        if (found) return found;
        if (ended) throw new Error(`the service ended before it said so:\n${text.slice(-20).join('\n')}`);
        await new Promise<void>((resolve) => void waiting.push(resolve));
      }
    },
  };
}

function createApi(url: string, token: string) {
  /** What asks faster than the limit of the service allows is asked again, as `Retry-After` says: nobody saw it. */
  async function api(method: string, path: string, body?: unknown): Promise<Answer> {
    for (;;) {
      const answer = await ask(method, path, body);
      if (answer.status !== 429 || !/requests a second/.test(String(answer.body.detail))) return answer;
      await new Promise((resolve) => setTimeout(resolve, Number(answer.body.retry_after_ms)));
    }
  }

  async function ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }
  return {
    api,
    setStatus: (id: string, status: string, more: Record<string, unknown> = {}) =>
      api('POST', '/api/plugins/lifecycle', { id, status, ...more }),
    call: (id: string, service: string, method: string, payload: unknown = null) =>
      api('POST', `/api/plugins/${id}/call`, { service, method, payload }),
    show: async (id: string) => (await api('GET', `/api/plugins/${id}`)).body,
    runtime: async (id: string) => ((await api('GET', `/api/plugins/${id}`)).body.runtime ?? {}) as Record<string, unknown>,
    why: async (id: string) => (await api('GET', `/api/plugins/${id}/why`)).body as { state: string; exits: ExitShown[] },
    logText: async (id: string) => JSON.stringify((await api('GET', `/api/plugins/${id}/logs`)).body),
  };
}

export type ExitShown = {
  cause: string;
  detail: string;
  code: number | null;
  signal: string | null;
  stderr_tail: string[];
  generation: number;
};
