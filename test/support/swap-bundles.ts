// Puts other things in a bundle's place as fast as it can, a given number of times, in an order that a seed fixes.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, copyFileSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [pluginDir = '', variants = '', count = '0', seed = '1'] = process.argv.slice(2);
const target = join(pluginDir, 'bundle');
const draft = join(pluginDir, '.draft');
const fifo = join(variants, 'fifo');
const whole = ['0', '1', '2', '3', '4'];
execFileSync('mkfifo', [fifo]);

let state = Number(seed) >>> 0;
/** The generator of Numerical Recipes: good enough to mix, and the same everywhere. */
function pick(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}
const from = (): string => join(variants, whole[pick(whole.length)] ?? '0');

function fill(folder: string): void {
  const source = from();
  mkdirSync(folder);
  for (const name of ['manifest.json', 'artifact']) copyFileSync(join(source, name), join(folder, name));
}

/** Each leaves something at the bundle's place, or nothing. */
const steps: (() => void)[] = [
  () => {
    fill(draft);
    rmSync(target, { recursive: true, force: true });
    renameSync(draft, target);
  },
  () => overwrite(join(target, 'artifact'), `evil ${pick(1000)}`),
  () => copyFileSync(join(from(), 'manifest.json'), join(target, 'manifest.json')),
  () => replace('artifact', (path) => symlinkSync(join(from(), 'artifact'), path)),
  () => replace('artifact', (path) => renameSync(fifo, path)),
  () => replace('artifact', (path) => mkdirSync(path)),
  () => replace('manifest.json', () => {}),
  () => {
    rmSync(target, { recursive: true, force: true });
    symlinkSync(from(), target);
  },
];

/** In place, while it may be read; never through a link into a variant, and without waiting for a FIFO's reader. */
function overwrite(path: string, text: string): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    writeSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

function replace(name: string, put: (path: string) => void): void {
  const path = join(target, name);
  rmSync(path, { recursive: true, force: true });
  put(path);
}

let done = 0;
process.stdout.write('swapping\n');
while (done < Number(count)) {
  // Half of all are whole bundles; the others spoil what is there, which a link to a variant would carry into the variant: then a whole one first.
  const step = pick(2) === 0 ? 0 : 1 + pick(steps.length - 1);
  try {
    if (step === steps.length - 1) {
      steps[step]?.();
      done++;
      steps[0]?.();
    } else steps[step]?.();
  } catch {
    // What one step removed the next cannot find.
  }
  done++;
}
process.stdout.write(`done ${done}\n`);
