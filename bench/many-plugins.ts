import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parentOf } from '../supervisor/sandbox/status.ts';
import { findDescendants } from '../test/support/process-tree.ts';
import { createHome, startService, type TestService } from '../test/support/start-service.ts';
import type { createOwner } from './owner.ts';
import { readCpuMs, readMemory } from './proc.ts';

export const idOf = (n: number): string => `bench.many-${n}`;
const source = (n: number) => `export default { services: { tool: {
  echo: (payload) => payload,
  fill: (count) => Array.from({ length: count }, (_, n) => ({ n, text: 'x'.repeat(64) + n })).length,
} } }; // ${n}`;
const services = { tool: ['echo', 'fill'] };
const startedAtOnce = 4; // more would only wait for two cores
const nodeOptions = [`--import=${new URL('./children/watch-loop.js', import.meta.url)}`, '--max-semi-space-size=4']; // the second as in deploy/
const settings = { NODE_OPTIONS: nodeOptions.join(' '), LATTICE_LOG_LEVEL: 'info', LATTICE_WARM_CHILDREN: '0' };

export type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** What operators run: a service that strips types holds 30 MiB more. */
function build(): void {
  const script = fileURLToPath(new URL('../supervisor/dev/build-package.ts', import.meta.url));
  execFileSync(process.execPath, [script], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** A real service as a process of its own, with as many active plugins as asked for, and a look at what all of it costs. */
export async function openFleet(owner: ReturnType<typeof createOwner>['owner'], most: number) {
  const home = createHome(owner);
  for (let n = 0; n < most; n++) home.place({ id: idOf(n), source: source(n), services });
  build();
  const start = () => startService(home, { entry: 'built', env: settings });
  let service: TestService = await start();
  let active = 0;

  async function activate(n: number): Promise<void> {
    for (const status of ['installed', 'active']) {
      const { status: code, body } = await service.setStatus(idOf(n), status);
      if (code !== 200) throw new Error(`${idOf(n)} did not become ${status}: ${JSON.stringify(body)}`);
    }
  }

  return {
    url: () => service.url,
    token: () => home.token(),
    pid: () => service.pid,
    api: (...asked: Parameters<TestService['api']>) => service.api(...asked),
    call: (...asked: Parameters<TestService['call']>) => service.call(...asked),
    /** Goes on until so many are armed; the time it took for those that were not. */
    async grow(to: number): Promise<number> {
      const startMs = performance.now();
      const next = async () => {
        while (active < to) await activate(active++);
      };
      await Promise.all(Array.from({ length: startedAtOnce }, next));
      return performance.now() - startMs;
    },
    /** Starts the service anew with all that is active; the time until the last one is armed. */
    async restart(): Promise<number> {
      service.signal('SIGTERM');
      await service.exited;
      const startMs = performance.now();
      service = await start();
      await Promise.all(Array.from({ length: active }, (_, n) => service.entered(idOf(n), 'ready')));
      return performance.now() - startMs;
    },
    /** How late the service's event loop was since this was last asked. */
    async readDelay(): Promise<{ p50Ms: number; p99Ms: number; mostMs: number }> {
      const before = service.count();
      process.kill(service.pid, 'SIGUSR2');
      const { p50Ms, p99Ms, mostMs } = await service.heard(({ event }) => event === 'bench.delay', before);
      return { p50Ms: Number(p50Ms), p99Ms: Number(p99Ms), mostMs: Number(mostMs) };
    },
    cpuMs: () => readCpuMs(service.pid),
    memoryOfService: () => readMemory(service.pid),
    memory() {
      const all = findDescendants(service.pid).map(({ pid }) => pid);
      return {
        service: readMemory(service.pid),
        children: findChildren(all).map(readMemory),
        pssMibBelow: all.reduce((sum, pid) => sum + readMemory(pid).pssMib, 0), // with what stands around each plugin
      };
    },
  };
}

/** The plugins themselves: in each cage what nobody runs below, not the monitor and not the namespace's init. */
function findChildren(all: readonly number[]): number[] {
  const parents = new Set(all.map((pid) => parentOf(pid)));
  return all.filter((pid) => !parents.has(pid));
}
