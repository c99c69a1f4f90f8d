import { type JsonRule, parseStrict } from './strict-json.ts';
import { wireLimits } from './version.ts';

export type FrameRule = JsonRule | 'line-too-long' | 'batch' | 'partial-line-at-end';
export type Frame =
  | { kind: 'message'; value: Record<string, unknown>; bytes: number }
  | { kind: 'stray'; text: string } // not the protocol's: a stray print
  | { kind: 'violation'; rule: FrameRule; detail: string };

const LF = 0x0a;
const strayKept = 200;
const heldPartsMost = 256;

/**
 * Cuts a byte stream into lines and parses each: one JSON object a line, UTF-8, LF, at most `maxLineBytes` without the LF. A bad line is
 * a value, never a throw. After a violation nothing more is read. Bytes are counted while they come in, so an endless line is refused
 * when it passes the cap, not when it ends.
 */
export function createFramer(maxLineBytes: number = wireLimits.lineBytes, depth: number = wireLimits.depth) {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let broken = false;

  const violation = (rule: FrameRule, detail: string): Frame => {
    broken = true;
    held = [];
    heldBytes = 0;
    return { kind: 'violation', rule, detail };
  };

  function line(tail: Buffer): Frame {
    const bytes = held.length === 0 ? tail : Buffer.concat([...held, tail]);
    held = [];
    heldBytes = 0;
    if (bytes.length > maxLineBytes) return violation('line-too-long', `a line is over ${maxLineBytes} bytes`);
    const first = bytes[0];
    const byteOrderMark = first === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    if (first !== 0x7b && first !== 0x5b && !byteOrderMark) return { kind: 'stray', text: bytes.toString('utf8', 0, strayKept) };
    const parsed = parseStrict(bytes, depth);
    if (!parsed.ok) return violation(parsed.rule, parsed.detail);
    if (Array.isArray(parsed.value)) return violation('batch', 'a batch is not allowed; send one message a line');
    return { kind: 'message', value: parsed.value as Record<string, unknown>, bytes: bytes.length }; // it began with {, so it is an object
  }

  return {
    /** Frames completed by this chunk, lazily: a caller that stops iterating keeps the rest unread, and must finish before the next push. */
    *push(chunk: Buffer): Generator<Frame, void, void> {
      let from = 0;
      while (!broken && from < chunk.length) {
        const end = chunk.indexOf(LF, from);
        if (end === -1) {
          const rest = chunk.subarray(from);
          heldBytes += rest.length;
          if (heldBytes > maxLineBytes) yield violation('line-too-long', `a line is over ${maxLineBytes} bytes`);
          else held.push(Buffer.from(rest)); // a copy: the chunk is a window on a larger read buffer
          if (held.length > heldPartsMost) held = [Buffer.concat(held)]; // a line sent byte by byte must not cost an object a byte
          return;
        }
        yield line(chunk.subarray(from, end));
        from = end + 1;
      }
    },
    /** To be called at the end of the stream: half a line is a violation, half a stray print is not. */
    end(): Frame | null {
      if (broken || heldBytes === 0) return null;
      const first = held[0]?.[0];
      if (first === 0x7b || first === 0x5b) return violation('partial-line-at-end', 'the stream ended inside a line');
      const text = Buffer.concat(held).toString('utf8', 0, strayKept);
      held = [];
      heldBytes = 0;
      return { kind: 'stray', text };
    },
    heldBytes: () => heldBytes,
  };
}

export type Framer = ReturnType<typeof createFramer>;

/** One message as a line; null when it is longer than the cap, so that the sender can answer with an error instead. */
export function encodeLine(message: unknown, maxLineBytes: number = wireLimits.lineBytes): string | null {
  const text = JSON.stringify(message);
  // UTF-8 needs at most 3 bytes for a UTF-16 unit: most messages need no exact count.
  if (text.length * 3 > maxLineBytes && Buffer.byteLength(text) > maxLineBytes) return null;
  return `${text}\n`;
}
