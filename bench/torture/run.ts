import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

// `npm run torture` runs every part, one after the other; `npm run torture -- kills --minutes 10` runs one, with what its own file says it takes.
const parts: Readonly<Record<string, readonly string[]>> = {
  children: ['--expose-gc', 'torture.ts'],
  'swap-bundles': ['swap-bundles.ts'],
  mutations: ['mutations.ts'],
  'audit-bytes': ['audit-bytes.ts'],
  'audit-export': ['audit-export.ts'],
  'racing-operators': ['racing-operators.ts'],
  kills: ['kills.ts'],
  power: ['kills.ts', '--power', '--plugins', '0'],
};
const [name, ...more] = process.argv.slice(2);
const chosen = name === undefined ? Object.values(parts) : Object.hasOwn(parts, name) ? [parts[name] ?? []] : null;
if (chosen === null) {
  process.stderr.write(`there is no part ${name}; there are: ${Object.keys(parts).join(', ')}\n`);
  process.exit(2);
}
for (const part of chosen) {
  const args = part.map((word) => (word.endsWith('.ts') ? join(import.meta.dirname, word) : word));
  const { status } = spawnSync(process.execPath, [...args, ...more], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
