/** What the bytes of a JSON text look like from outside, before anything is interpreted. */
export type JsonShape = {
  /** The deepest nesting; once it is over the limit, the rest is not looked at. */
  depth: number;
  colons: number; // outside strings: as many as there are keys
  values: number; // brackets, commas and colons: what a parser has to make, at most
  backslashes: boolean;
};

const quote = 0x22;
const backslash = 0x5c;
const steppedBytes = 256; // of a string, one by one; then its end is searched for, which costs a call but is faster by the byte

/** Looks at a text in one pass, which may come in pieces: a line is looked at while it comes in, not only when it is whole. */
export function createShapeScanner(depthMost: number) {
  let shape: JsonShape = { depth: 0, colons: 0, values: 0, backslashes: false };
  let depth = 0;
  let inString = false;
  let escaped = false; // the piece ended behind a backslash

  /** Returns where the string goes on behind this piece, or behind its closing quote. */
  function skipString(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    if (escaped) at++;
    escaped = false;
    let stepped = Math.min(to, at + steppedBytes);
    for (;;) {
      for (; at < stepped; at++) {
        const byte = bytes[at];
        if (byte === quote) {
          inString = false;
          return at + 1;
        }
        if (byte !== backslash) continue;
        shape.backslashes = true;
        at++;
      }
      if (at >= to) {
        escaped = at > to; // its last byte is a backslash
        return to;
      }
      at = shape.backslashes ? at : jump(bytes, at, to);
      stepped = Math.min(to, at + steppedBytes);
    }
  }

  /** To the next quote or backslash, or to the end. */
  function jump(bytes: Uint8Array, from: number, to: number): number {
    const found = bytes.indexOf(quote, from);
    const end = found === -1 || found > to ? to : found;
    const escapeAt = bytes.subarray(from, end).indexOf(backslash);
    return escapeAt === -1 ? end : from + escapeAt;
  }

  return {
    scan(bytes: Uint8Array, from: number, to: number): void {
      if (shape.depth > depthMost) return;
      let at = inString ? skipString(bytes, from, to) : from;
      while (at < to) {
        switch (bytes[at++]) {
          case quote:
            inString = true;
            at = skipString(bytes, at, to);
            break;
          case 0x3a: // :
            shape.colons++;
            shape.values++;
            break;
          case 0x2c: // ,
            shape.values++;
            break;
          case 0x7b: // {
          case 0x5b: // [
            shape.values++;
            if (++depth > shape.depth) shape.depth = depth;
            if (depth > depthMost) return;
            break;
          case 0x7d: // }
          case 0x5d: // ]
            depth--;
            break;
        }
      }
    },
    /** The shape of what was scanned since the last time. */
    take(): JsonShape {
      const taken = shape;
      shape = { depth: 0, colons: 0, values: 0, backslashes: false };
      depth = 0;
      inString = false;
      escaped = false;
      return taken;
    },
  };
}

export type ShapeScanner = ReturnType<typeof createShapeScanner>;
