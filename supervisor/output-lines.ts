/** Cuts what a plugin prints into lines for its log: bounded lines, bounded bytes a second, the rest dropped and counted. Never blocks it. */
export function createOutputLines(deps: { lineBytes: number; bytesPerSecond: number; monotonicMs(): number; onLine(text: string): void }) {
  let held = '';
  let droppedBytes = 0;
  let windowStart = deps.monotonicMs();
  let windowBytes = 0;
  const decoder = new TextDecoder('utf-8'); // invalid bytes show as U+FFFD: a log is for reading

  function allow(bytes: number): boolean {
    const now = deps.monotonicMs();
    if (now - windowStart >= 1000) {
      windowStart = now;
      windowBytes = 0;
    }
    windowBytes += bytes;
    return windowBytes <= deps.bytesPerSecond;
  }

  return {
    push(chunk: Buffer): void {
      if (!allow(chunk.length)) {
        droppedBytes += chunk.length;
        return;
      }
      const parts = (held + decoder.decode(chunk, { stream: true })).split('\n');
      held = parts.pop() ?? '';
      for (const part of parts) deps.onLine(part.slice(0, deps.lineBytes));
      if (held.length > deps.lineBytes) {
        deps.onLine(held.slice(0, deps.lineBytes));
        held = '';
      }
    },
    end(): void {
      if (held !== '') deps.onLine(held.slice(0, deps.lineBytes));
      held = '';
    },
    droppedBytes: () => droppedBytes,
  };
}
