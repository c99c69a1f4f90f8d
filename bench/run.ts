import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { tell } from './progress.ts';
import { suites, usage } from './suites.ts';

const asked = readArguments();
const names = asked.length > 0 ? asked : Object.keys(suites);
const results = fileURLToPath(new URL('./results/', import.meta.url));
mkdirSync(results, { recursive: true });
for (const [at, name] of names.entries()) {
  const suite = suites[name];
  if (!suite) continue; // refused above
  tell(`${name} (${at + 1} of ${names.length}), ${suite.seconds} s on a quiet machine`);
  const { measure } = await suite.load();
  const startMs = performance.now();
  const { table, figures } = await measure();
  const took = Math.round((performance.now() - startMs) / 1000);
  const machine = { node: process.version, kernel: release(), arch: arch(), cores: cpus().length, cpu: cpus()[0]?.model, load: loadavg() };
  writeFileSync(`${results}${name}.json`, `${JSON.stringify({ suite: name, tookSeconds: took, machine, figures }, null, 2)}\n`);
  process.stdout.write(
    `${name}, ${took} s on ${machine.cores} cores, Node ${machine.node}, load ${machine.load[0]?.toFixed(1)}\n${table}\n`,
  );
}

/** The names of suites that were asked for; help and wrong usage end here. */
function readArguments(): string[] {
  try {
    const { values, positionals } = parseArgs({ options: { help: { type: 'boolean', short: 'h' } }, allowPositionals: true });
    if (values.help) {
      process.stdout.write(usage());
      process.exit(0);
    }
    const unknown = positionals.filter((name) => !Object.hasOwn(suites, name));
    if (unknown.length === 0) return positionals;
    process.stderr.write(`no such suite: ${unknown.join(', ')}\n\n${usage()}`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage()}`);
  }
  process.exit(2);
}
