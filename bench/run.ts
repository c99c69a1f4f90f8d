import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, release } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What a suite gives: the table that people read, and the same as data. */
export type Report = { table: string; figures: unknown };

/** Loaded only when asked for; a new suite is one more row. */
const suites: Record<string, () => Promise<{ measure(): Promise<Report> }>> = {
  rpc: () => import('./rpc.ts'),
  invoke: () => import('./invoke.ts'),
  store: () => import('./store.ts'),
  rest: () => import('./rest.ts'),
  verify: () => import('./verify.ts'),
  start: () => import('./start.ts'),
  memory: () => import('./memory.ts'),
  scale: () => import('./scale.ts'),
  supervision: () => import('./supervision.ts'),
  hung: () => import('./hung.ts'),
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(suites, name));
if (unknown.length > 0) {
  process.stderr.write(`no such suite: ${unknown.join(', ')}; there are: ${Object.keys(suites).join(', ')}\n`);
  process.exit(2);
}

const results = fileURLToPath(new URL('./results/', import.meta.url));
mkdirSync(results, { recursive: true });
for (const name of asked.length > 0 ? asked : Object.keys(suites)) {
  const suite = await suites[name]?.();
  if (!suite) continue;
  const startMs = performance.now();
  const { table, figures } = await suite.measure();
  const took = Math.round((performance.now() - startMs) / 1000);
  const machine = { node: process.version, kernel: release(), arch: arch(), cores: cpus().length, cpu: cpus()[0]?.model, load: loadavg() };
  writeFileSync(`${results}${name}.json`, `${JSON.stringify({ suite: name, tookSeconds: took, machine, figures }, null, 2)}\n`);
  process.stdout.write(
    `${name}, ${took} s on ${machine.cores} cores, Node ${machine.node}, load ${machine.load[0]?.toFixed(1)}\n${table}\n`,
  );
}
