import { Socket } from 'node:net';
import { Readable, type Writable } from 'node:stream';

const chunkBytes = 65_536; // as much as Node reads at once

/**
 * Takes stdin and stdout for the protocol. From then on what the plugin prints, by console or process.stdout, goes to stderr, its log; only a
 * write to descriptor 1 itself still reaches the protocol's stream, where the supervisor treats it as a stray line.
 */
export function claimStdio(): { input: Readable; output: Writable } {
  const input = openInput();
  const output = process.stdout;
  // Node's console looks for its streams at the first use, and so finds this one; stderr itself is made only when something is printed.
  Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: () => process.stderr });
  Object.defineProperty(process, 'stdin', { configurable: true, enumerable: true, get: () => Readable.from([]) });
  return { input, output };
}

/**
 * Descriptor 0, read into one piece of memory again and again. process.stdin would allocate 64 KiB for each chunk and copy what came, which is a
 * tenth of what a host call takes. A chunk is only valid until its listener returns or, where that pauses the stream, until it resumes.
 */
function openInput(): Readable {
  const buffer = Buffer.allocUnsafeSlow(chunkBytes);
  const callback = (bytes: number): boolean => input.emit('data', buffer.subarray(0, bytes));
  const input = new Socket({ fd: 0, readable: true, writable: false, onread: { buffer, callback } });
  return input;
}
