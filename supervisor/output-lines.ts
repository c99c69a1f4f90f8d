import { costs } from '../protocol/work.ts';

export type OutputLimits = { lineBytes: number; bytesPerSecond: number; linesPerSecond: number };

const lastBytes = 16 * 1024;

/**
 * Cuts what a plugin prints into lines for its log: bounded lines, so many a second at most, the rest dropped and counted. What was pushed is
 * told line by line, so that the caller can turn to other things between two.
 */
export function createOutputLines(deps: OutputLimits & { monotonicMs(): number; onLine(text: string): void }) {
  let text = ''; // what came and was not told yet
  let at = 0; // up to where it was
  let droppedBytes = 0;
  let windowStart = deps.monotonicMs();
  let windowBytes = 0;
  let windowLines = 0; // each costs more than its bytes: an empty one is as dear as a long one
  const last = createTail(lastBytes); // of all that came: what was dropped may say why it ended
  const decoder = new TextDecoder('utf-8'); // invalid bytes show as U+FFFD: a log is for reading

  function allow(bytes: number): boolean {
    const now = deps.monotonicMs();
    if (now - windowStart >= 1000) {
      windowStart = now;
      windowBytes = 0;
      windowLines = 0;
    }
    windowBytes += bytes;
    return windowBytes <= deps.bytesPerSecond;
  }

  function tell(line: string): number {
    droppedBytes += Math.max(0, line.length - deps.lineBytes);
    const kept = line.slice(0, deps.lineBytes);
    deps.onLine(kept);
    return costs.logLine + kept.length * costs.logByte;
  }

  /** All whole lines at once, without looking at each. */
  function dropLines(): void {
    const end = text.lastIndexOf('\n') + 1;
    droppedBytes += Math.max(0, end - at);
    at = Math.max(at, end);
  }

  /** Tells one line and says what that cost; null when there is no whole one. */
  function next(): number | null {
    if (windowLines >= deps.linesPerSecond) dropLines();
    const end = text.indexOf('\n', at);
    if (end >= 0) {
      windowLines++;
      const line = text.slice(at, end);
      at = end + 1;
      return tell(line);
    }
    text = text.slice(at);
    at = 0;
    if (text.length <= deps.lineBytes) return null;
    const piece = text;
    text = '';
    return tell(piece);
  }

  return {
    push(chunk: Buffer): void {
      last.push(chunk);
      if (!allow(chunk.length)) {
        droppedBytes += chunk.length;
        return;
      }
      text = text.slice(at) + decoder.decode(chunk, { stream: true });
      at = 0;
    },
    next,
    end(): void {
      while (next() !== null);
      if (text !== '') tell(text);
      text = '';
    },
    droppedBytes: () => droppedBytes,
    /** The last lines that it printed, whether they were let through or not. */
    lastLines(most: number): string[] {
      const bytes = last.bytes();
      const lines = bytes.toString('utf8').split('\n');
      if (bytes.length === lastBytes && lines.length > 1) lines.shift(); // its beginning is lost
      if (lines.at(-1) === '') lines.pop();
      return lines.slice(-most).map((line) => line.slice(0, deps.lineBytes));
    },
  };
}

/** The last bytes of a stream, in one buffer: a new one for each chunk would be the garbage collector's to find. Most plugins print nothing. */
function createTail(most: number) {
  let held = Buffer.alloc(0);
  let length = 0;
  return {
    push(chunk: Buffer): void {
      if (held.length === 0) held = Buffer.alloc(most);
      const added = chunk.subarray(-most);
      const kept = Math.min(length, most - added.length);
      held.copyWithin(0, length - kept, length);
      added.copy(held, kept);
      length = kept + added.length;
    },
    bytes: () => held.subarray(0, length),
  };
}
