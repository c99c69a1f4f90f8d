// Puts another variant of a bundle, or other files of it, in its place again and again until its input ends.
import { copyFileSync, cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const [pluginDir = ''] = process.argv.slice(2);
const target = join(pluginDir, 'bundle');
const variants = join(pluginDir, '..', 'variants');
const draft = join(pluginDir, '..', 'draft');
let turn = 0;
let going = true;

cpSync(join(variants, '0'), target, { recursive: true });
process.stdout.write('swapping\n');
process.stdin.resume().on('end', () => {
  going = false;
});

function swap(): void {
  if (!going) return;
  const from = join(variants, String(turn++ % 4));
  if (turn % 3 === 0) {
    cpSync(from, draft, { recursive: true });
    rmSync(target, { recursive: true });
    renameSync(draft, target);
  } else copyFileSync(join(from, 'artifact'), join(target, 'artifact')); // in place, while it may be read
  setImmediate(swap);
}
swap();
