import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutated, prepareMutations } from '../../test/support/mutate-database.ts';

// `node mutations.ts [count]`: changes a database, its log and its audit at random, and prints how each change was found.
const count = Number(process.argv[2] ?? 10_000);
const folder = mkdtempSync(join(tmpdir(), 'lattice-mutations-'));
const firstSeed = 1_000_000;
try {
  const { run } = await prepareMutations(folder);
  const outcomes = new Map<string, number>();
  const missed: Mutated[] = [];
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const seen = await run(seed);
    const name = `${seen.outcome} ${seen.rule}`.trim();
    outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
    if (seen.outcome === 'MISSED') missed.push(seen);
  }
  for (const [name, number] of outcomes) console.log(`${String(number).padStart(6)}  ${name}`);
  for (const seen of missed) console.log(JSON.stringify(seen));
  process.exitCode = missed.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
