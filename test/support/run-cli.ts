import { PassThrough } from 'node:stream';
import { runCli } from '../../supervisor/cli/program.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { projectRoot } from '../docs/markdown.ts';

/** Runs a verb in this process, which is far faster than the real command. For verbs that read no terminal and set no signal handler. */
export async function runVerb(args: readonly string[], environment: Record<string, string> = {}) {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    streams[name].on('data', (chunk) => {
      said[name] += String(chunk);
    });
  }
  const io = {
    ...(streams as unknown as Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr'>), // no terminals, like pipes
    environment,
    clock: createRealClock(),
    projectRoot,
    uid: process.geteuid?.() ?? -1,
    onInterrupt: () => new AbortController().signal,
  };
  const exitCode = await runCli(args, io, '0.0.0-test');
  return { exitCode, ...said };
}
