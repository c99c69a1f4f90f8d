import { Readable, type Writable } from 'node:stream';

/**
 * Takes stdin and stdout for the protocol. From then on what the plugin prints, by console or process.stdout, goes to stderr, its log; only a
 * write to descriptor 1 itself still reaches the protocol's stream, where the supervisor treats it as a stray line.
 */
export function claimStdio(): { input: Readable; output: Writable } {
  const input = process.stdin;
  const output = process.stdout;
  // Node's console looks for its streams at the first use, and so finds this one; stderr itself is made only when something is printed.
  Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: () => process.stderr });
  Object.defineProperty(process, 'stdin', { configurable: true, enumerable: true, get: () => Readable.from([]) });
  return { input, output };
}
