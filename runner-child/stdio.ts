import { Console } from 'node:console';
import { Readable, type Writable } from 'node:stream';

/**
 * Takes stdin and stdout for the protocol. From then on what the plugin prints, by console or process.stdout, goes to stderr, its log; only a
 * write to descriptor 1 itself still reaches the protocol's stream, where the supervisor treats it as a stray line.
 */
export function claimStdio(): { input: Readable; output: Writable } {
  const input = process.stdin;
  const output = process.stdout;
  const { stderr } = process;
  globalThis.console = new Console({ stdout: stderr, stderr, colorMode: false });
  Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: () => stderr });
  Object.defineProperty(process, 'stdin', { configurable: true, enumerable: true, get: () => Readable.from([]) });
  return { input, output };
}
