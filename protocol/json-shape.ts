/** What the bytes of a JSON text look like from outside, before anything is interpreted. */
export type JsonShape = {
  /** The deepest nesting; once it is over the limit, the rest is not looked at. */
  depth: number;
  colons: number; // outside strings: as many as there are keys
  values: number; // brackets, commas and colons: what a parser has to make, at most
  strings: number; // keys among them
  backslashes: boolean;
};

const quote = 0x22;
const backslash = 0x5c;
const steppedCharacters = 64; // behind an escape, one by one: where there is one there are more, and a search costs as much as five steps

/**
 * Looks at a text in one pass, which may come in pieces: a line is looked at while it comes in, not only when it is whole. It takes a character for
 * each byte, which costs a fifth of reading the bytes; and the ends of strings are searched for, not stepped to.
 */
export function createShapeScanner(depthMost: number) {
  let shape: JsonShape = { depth: 0, colons: 0, values: 0, strings: 0, backslashes: false };
  let depth = 0;
  let inString = false;
  let escaped = false; // the piece ended behind a backslash
  let text = '';
  let quoteAt = -1; // the next of each in the text, where it is not behind us: what was found is not searched for again
  let backslashAt = -1;
  let jumped = 0;

  /** To the next quote or backslash, or to the end. */
  function jump(from: number, to: number): number {
    if (quoteAt < from) quoteAt = find('"', from);
    if (backslashAt < from) backslashAt = find('\\', from);
    return Math.min(quoteAt, backslashAt, to);
  }

  function find(character: string, from: number): number {
    const found = text.indexOf(character, from);
    return found === -1 ? Number.POSITIVE_INFINITY : found;
  }

  /** Returns where the string goes on behind this piece, or behind its closing quote. */
  function skipString(from: number, to: number): number {
    let at = escaped ? from + 1 : from;
    escaped = false;
    for (;;) {
      const found = jump(at, to);
      jumped += found - at;
      at = found;
      const stepped = Math.min(to, at + steppedCharacters);
      for (; at < stepped; at++) {
        const character = text.charCodeAt(at);
        if (character === quote) {
          inString = false;
          return at + 1;
        }
        if (character !== backslash) continue;
        shape.backslashes = true;
        at++;
      }
      if (at >= to) {
        escaped = at > to; // its last byte is a backslash
        return to;
      }
    }
  }

  return {
    /** What is looked at next: one piece, or several that are one behind the other. */
    open(next: string): void {
      text = next;
      quoteAt = -1;
      backslashAt = -1;
    },
    scan(from: number, to: number): void {
      if (shape.depth > depthMost || from >= to) return; // an empty piece ends no escape
      let at = inString ? skipString(from, to) : from;
      while (at < to) {
        switch (text.charCodeAt(at++)) {
          case quote:
            shape.strings++;
            inString = true;
            at = skipString(at, to);
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
    /** How many characters a search passed over since the last time; each of the others was looked at by itself, which costs more. */
    takeJumped(): number {
      const taken = jumped;
      jumped = 0;
      return taken;
    },
    /** The shape of what was scanned since the last time. */
    take(): JsonShape {
      const taken = shape;
      shape = { depth: 0, colons: 0, values: 0, strings: 0, backslashes: false };
      depth = 0;
      inString = false;
      escaped = false;
      return taken;
    },
  };
}

export type ShapeScanner = ReturnType<typeof createShapeScanner>;
