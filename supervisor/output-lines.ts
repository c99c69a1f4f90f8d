export type OutputLimits = { lineBytes: number; bytesPerSecond: number; linesPerSecond: number };

const lastBytes = 16 * 1024;

/** Cuts what a plugin prints into lines for its log: bounded lines, so many a second at most, the rest dropped and counted. Never blocks it. */
export function createOutputLines(deps: OutputLimits & { monotonicMs(): number; onLine(text: string): void }) {
  let held = '';
  let droppedBytes = 0;
  let windowStart = deps.monotonicMs();
  let windowBytes = 0;
  let windowLines = 0; // each costs more than its bytes: an empty one is as dear as a long one
  let last = Buffer.alloc(0); // of all that came: what was dropped may say why it ended
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

  function tell(text: string): void {
    droppedBytes += Math.max(0, text.length - deps.lineBytes);
    deps.onLine(text.slice(0, deps.lineBytes));
  }

  return {
    push(chunk: Buffer): void {
      last = Buffer.concat([
        last.subarray(Math.min(last.length, Math.max(0, last.length + chunk.length - lastBytes))),
        chunk.subarray(-lastBytes),
      ]);
      if (!allow(chunk.length)) {
        droppedBytes += chunk.length;
        return;
      }
      const parts = (held + decoder.decode(chunk, { stream: true })).split('\n');
      held = parts.pop() ?? '';
      for (const part of parts) {
        if (++windowLines <= deps.linesPerSecond) tell(part);
        else droppedBytes += part.length + 1;
      }
      if (held.length > deps.lineBytes) {
        tell(held);
        held = '';
      }
    },
    end(): void {
      if (held !== '') tell(held);
      held = '';
    },
    droppedBytes: () => droppedBytes,
    /** The last lines that it printed, whether they were let through or not. */
    lastLines(most: number): string[] {
      const lines = last.toString('utf8').split('\n');
      if (last.length === lastBytes && lines.length > 1) lines.shift(); // its beginning is lost
      if (lines.at(-1) === '') lines.pop();
      return lines.slice(-most).map((line) => line.slice(0, deps.lineBytes));
    },
  };
}
