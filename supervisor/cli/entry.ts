import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseJson } from '../../protocol/parse-json.ts';
import { createRealClock } from '../clock.ts';
import { findPackageRoot } from '../package-root.ts';

function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort(signal));
  return controller.signal;
}

// A reader such as `head` that has seen enough is no fault of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
}

const root = findPackageRoot();
const { version } = parseJson(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }; // our own file
const { env: environment, stdin, stdout, stderr } = process;
const uid = process.geteuid?.() ?? -1;
const io = { environment, stdin, stdout, stderr, clock: createRealClock(), projectRoot: root, uid, onInterrupt };
const words = process.argv.slice(2);
// The service needs none of the verbs, and keeps what it has loaded for as long as it runs.
if (words.length === 1 && words[0] === 'serve') await (await import('../main.ts')).runService();
else process.exitCode = await (await import('./program.ts')).runCli(words, io, version);
if (stdin.isTTY) stdin.unref(); // what a prompt has left open does not keep the process
