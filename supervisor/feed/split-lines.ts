/** `end`: where the next line begins, in bytes from the start of the file. `cut`: the line was longer than is kept. */
export type Line = { text: string; end: number; cut: boolean };

const LF = 0x0a;
const CR = 0x0d;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true }); // what is not UTF-8 becomes U+FFFD; each line is decoded whole

/** Cuts bytes into lines. Of a line that is too long the beginning is kept; the rest is read and forgotten. */
export function createLineSplitter(startOffset: number, maxLineBytes: number) {
  let offset = startOffset;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let cut = false;

  function hold(piece: Buffer): void {
    let from = 0;
    // A log truncated under a writer that does not append begins with a hole of zero bytes, as long as the file was.
    if (heldBytes === 0) while (piece[from] === 0) from++;
    const rest = piece.subarray(from);
    if (heldBytes + rest.length > maxLineBytes) cut = true;
    const kept = Buffer.from(rest.subarray(0, maxLineBytes - heldBytes)); // a copy: the chunk's memory is read into again
    if (kept.length > 0) held.push(kept);
    heldBytes += kept.length;
  }

  function finish(): Line {
    const bytes = Buffer.concat(held);
    const line = { text: decoder.decode(bytes.at(-1) === CR ? bytes.subarray(0, -1) : bytes), end: offset, cut };
    held = [];
    heldBytes = 0;
    cut = false;
    return line;
  }

  return {
    push(chunk: Buffer): Line[] {
      const lines: Line[] = [];
      let from = 0;
      while (from < chunk.length) {
        const at = chunk.indexOf(LF, from);
        const to = at === -1 ? chunk.length : at;
        const next = at === -1 ? to : to + 1;
        hold(chunk.subarray(from, to));
        offset += next - from;
        from = next;
        if (at !== -1) lines.push(finish());
      }
      return lines;
    },
    /** The last line of a file that ends without a line break; null when there is none. */
    rest: (): Line | null => (heldBytes === 0 ? null : finish()),
  };
}
