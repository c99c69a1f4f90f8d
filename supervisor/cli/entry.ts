import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRealClock } from '../clock.ts';
import { runCli } from './program.ts';

/** The folder of the package.json above this file: two levels up in the sources, more in the packed form. */
function findProject(folder: string): { root: string; version: string } {
  try {
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }; // our own file
    return { root: folder, version };
  } catch (error) {
    const above = dirname(folder);
    if (above === folder) throw error;
    return findProject(above);
  }
}

function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort(signal));
  return controller.signal;
}

// A reader such as `head` that has seen enough is no fault of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
}

const { root, version } = findProject(import.meta.dirname);
const { env: environment, stdin, stdout, stderr } = process;
const uid = process.geteuid?.() ?? -1;
const io = { environment, stdin, stdout, stderr, clock: createRealClock(), projectRoot: root, uid, onInterrupt };
process.exitCode = await runCli(process.argv.slice(2), io, version);
if (stdin.isTTY) stdin.unref(); // what a prompt has left open does not keep the process
