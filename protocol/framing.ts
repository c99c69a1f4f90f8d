import { isAscii, isUtf8 } from 'node:buffer';
import { createDenseMessage, type DenseMessage } from './dense-message.ts';
import { createShapeScanner, type JsonShape } from './json-shape.ts';
import { type JsonRule, parseOfShape, parseStrict, refuse } from './strict-json.ts';
import { wireLimits } from './version.ts';
import { costs, usual } from './work.ts';

export type FrameRule = JsonRule | 'line-too-long' | 'batch' | 'partial-line-at-end';
/** What one line says. */
export type WholeFrame =
  | { kind: 'message'; value: Record<string, unknown>; bytes: number; work: number } // what it cost to read
  | { kind: 'stray'; text: string } // not the protocol's: a stray print
  | { kind: 'violation'; rule: FrameRule; detail: string };
type DenseLine = DenseMessage & { bytes: number; work: number };
export type Frame = WholeFrame | { kind: 'unfinished' }; // a line of very many values: ask again

const byteOrderMark = '\xef\xbb\xbf'; // its bytes, a character for each
const strayKept = 200;
const heldPartsMost = 256;
const denseValues = 2_000; // a line with more is parsed in pieces
const valuesPerPiece = 1_000;
const nanosecondsPerMs = 1e6;
const withCollector = 2; // what is made has to be collected some time

/**
 * Cuts a byte stream into lines and parses each: one JSON object a line, UTF-8, LF, at most `maxLineBytes` without the LF. A bad line is
 * a value, never a throw. After a violation nothing more is read. Bytes are counted while they come in, so an endless line is refused
 * when it passes the cap, not when it ends. What it does is counted too, in nominal nanoseconds, for whoever rations it.
 */
export function createFramer(
  maxLineBytes: number = wireLimits.lineBytes,
  depth: number = wireLimits.depth,
  inPieces = true,
  nowMs: () => number = () => performance.now(),
) {
  const scanner = createShapeScanner(depth);
  let chunk: Buffer | null = null;
  let text = ''; // the same, a character for each byte: decoded once, and cut without a copy
  let from = 0;
  let ascii = true; // all of the chunk, so that its characters are those of the text
  let heldAscii = true;
  let held: string[] = []; // of a line that began in chunks before, a character for each byte
  let heldBytes = 0;
  let dense: DenseLine | null = null;
  let broken = false;
  let work = 0;

  function violation(rule: FrameRule, detail: string): WholeFrame {
    broken = true;
    release();
    dense = null;
    forget();
    return { kind: 'violation', rule, detail };
  }

  function release(): void {
    chunk = null;
    text = '';
    scanner.open(text);
  }

  function forget(): void {
    held = [];
    heldBytes = 0;
    heldAscii = true;
  }

  function hold(bytes: Buffer): Frame | null {
    scanner.scan(from, text.length);
    const length = bytes.length - from;
    work += length * costs.byte;
    heldBytes += length;
    heldAscii &&= ascii;
    if (heldBytes > maxLineBytes) return violation('line-too-long', `a line is over ${maxLineBytes} bytes`);
    held.push(text.slice(from));
    if (held.length > heldPartsMost) held = [held.join('')]; // a line sent byte by byte must not cost a place in a list a byte
    return null;
  }

  function readLine(bytes: Buffer, start: number, end: number): Frame {
    scanner.scan(start, end);
    const shape = scanner.take();
    const isWhole = held.length === 0;
    const lineAscii = ascii && heldAscii;
    const line = isWhole ? text.slice(start, end) : held.join('') + text.slice(start, end);
    if (!isWhole) forget();
    const stepped = Math.max(0, line.length - scanner.takeJumped());
    const price =
      costs.message +
      line.length * (lineAscii ? costs.byte : costs.byte + costs.decoded) +
      stepped * costs.stepped +
      shape.values * costs.value;
    work += price;
    if (line.length > maxLineBytes) return violation('line-too-long', `a line is over ${maxLineBytes} bytes`);
    const first = line.charCodeAt(0);
    if (first !== 0x7b && first !== 0x5b && !line.startsWith(byteOrderMark))
      return { kind: 'stray', text: Buffer.from(line, 'latin1').toString('utf8', 0, strayKept) };
    return readText(lineAscii ? line : isWhole ? bytes.subarray(start, end) : Buffer.from(line, 'latin1'), shape, line.length, price);
  }

  /** A line as it is, or the bytes of one that is not ASCII. */
  function readText(given: string | Buffer, shape: JsonShape, length: number, price: number): Frame {
    if (typeof given !== 'string' && !isUtf8(given)) return refuseBytes(given);
    const line = typeof given === 'string' ? given : given.toString('utf8');
    if (inPieces && shape.values > denseValues && shape.depth <= depth && line.charCodeAt(0) === 0x7b && !line.includes('\0')) {
      dense = { ...createDenseMessage(line, depth), bytes: length, work: price };
      return readDense(dense);
    }
    const most = costOfMany(shape); // a line of very many values pays for each as it is looked at
    const begun = most === 0 ? 0 : nowMs();
    const parsed = parseOfShape(line, shape, depth);
    const extra = most === 0 ? 0 : Math.min(most, (nowMs() - begun) * nanosecondsPerMs * withCollector);
    work += extra;
    if (!parsed.ok) return violation(parsed.rule, parsed.detail);
    if (Array.isArray(parsed.value)) return violation('batch', 'a batch is not allowed; send one message a line');
    return { kind: 'message', value: parsed.value as Record<string, unknown>, bytes: length, work: price + extra }; // it began with {, so it is an object
  }

  function refuseBytes(bytes: Buffer): Frame {
    const parsed = parseStrict(bytes, depth);
    const { rule, detail } = parsed.ok ? refuse('invalid-utf8') : parsed;
    return violation(rule, detail);
  }

  function readDense(line: DenseLine): Frame {
    const { work: done, end } = line.step(valuesPerPiece);
    work += done;
    line.work += done;
    if (!end) return { kind: 'unfinished' };
    dense = null;
    if (!end.ok) return violation(end.rule, end.detail);
    return { kind: 'message', value: end.value, bytes: line.bytes, work: line.work };
  }

  return {
    /** Takes the next chunk, when `next` has answered that the one before is used up. */
    push(bytes: Buffer): void {
      if (broken) return;
      chunk = bytes;
      text = bytes.toString('latin1');
      scanner.open(text);
      from = 0;
      ascii = isAscii(bytes);
      work += costs.chunk;
    },
    /** The next frame of what was pushed; null when there is no whole one any more. */
    next(): Frame | null {
      if (dense) return readDense(dense);
      if (!chunk) return null;
      const end = text.indexOf('\n', from);
      if (end !== -1) {
        const start = from;
        from = end + 1;
        return readLine(chunk, start, end);
      }
      const rest = from < chunk.length ? hold(chunk) : null;
      release();
      return rest;
    },
    /** To be called at the end of the stream: half a line is a violation, half a stray print is not. */
    end(): WholeFrame | null {
      if (broken || heldBytes === 0) return null;
      const line = held.join('');
      if (line.startsWith('{') || line.startsWith('[')) return violation('partial-line-at-end', 'the stream ended inside a line');
      forget();
      return { kind: 'stray', text: Buffer.from(line, 'latin1').toString('utf8', 0, strayKept) };
    },
    heldBytes: () => heldBytes + (dense?.bytes ?? 0) + (chunk?.length ?? 0),
    /** What was done since the last time this was asked. */
    takeWork(): number {
      const done = work;
      work = 0;
      return done;
    },
  };
}

/**
 * What the strings and keys cost beyond those of a usual message, at most: what V8 knows already costs it a tenth, and only the clock tells which
 * it was. So the clock may lower this price, and a slow machine never raises it.
 */
function costOfMany({ strings, colons, backslashes }: JsonShape): number {
  const keys = Math.max(0, colons - usual.keys);
  const eachKey = backslashes ? costs.key + costs.escapedKey : costs.key;
  return Math.max(0, strings - usual.strings) * costs.string + keys * eachKey;
}

export type Framer = ReturnType<typeof createFramer>;

/** One message as a line; null when it is longer than the cap, so that the sender can answer with an error instead. */
export function encodeLine(message: unknown, maxLineBytes: number = wireLimits.lineBytes): string | null {
  const text = JSON.stringify(message);
  // UTF-8 needs at most 3 bytes for a UTF-16 unit: most messages need no exact count.
  if (text.length * 3 > maxLineBytes && Buffer.byteLength(text) > maxLineBytes) return null;
  return `${text}\n`;
}
