import { isAscii, isUtf8 } from 'node:buffer';
import { createDenseParser } from './dense-json.ts';
import { createShapeScanner, type JsonShape } from './json-shape.ts';
import { wireLimits } from './version.ts';

export type JsonRule =
  | 'invalid-utf8'
  | 'byte-order-mark'
  | 'nul-byte'
  | 'too-deep'
  | 'invalid-json'
  | 'duplicate-key'
  | 'forbidden-key'
  | 'lone-surrogate'
  | 'number-out-of-range';
export type Refused = { ok: false; rule: JsonRule; detail: string };
export type Parsed = { ok: true; value: unknown } | Refused;

const details: Readonly<Record<JsonRule, string>> = {
  'invalid-utf8': 'the bytes are not valid UTF-8',
  'byte-order-mark': 'the text starts with a byte order mark',
  'nul-byte': 'the text has a NUL byte',
  'too-deep': 'nesting is too deep',
  'invalid-json': 'the text is not JSON',
  'duplicate-key': 'an object has the same key twice',
  'forbidden-key': 'the key __proto__ is not allowed',
  'lone-surrogate': 'a string or key has an unpaired surrogate',
  'number-out-of-range': 'a number is too large',
};
export const refuse = (rule: JsonRule, detail: string = details[rule]): Refused => ({ ok: false, rule, detail });

/** Decodes UTF-8; null when it is not. What Node would replace by U+FFFD must not slip through. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isAscii(buffer)) return buffer.toString('latin1');
  return isUtf8(buffer) ? buffer.toString('utf8') : null;
}

/**
 * Parses one JSON text written by somebody who is not trusted. Beyond what JSON.parse refuses: invalid UTF-8, a byte order mark, NUL,
 * nesting over 64, a key twice in one object, `__proto__`, an unpaired surrogate, a number that is not finite.
 */
export function parseStrict(bytes: Uint8Array, depth: number = wireLimits.depth): Parsed {
  const text = decodeUtf8(bytes);
  if (text === null) return refuse('invalid-utf8');
  const scanner = createShapeScanner(depth);
  scanner.open(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'));
  scanner.scan(0, bytes.length);
  return parseOfShape(text, scanner.take(), depth);
}

/** Parses a text whose bytes were valid UTF-8 and of this shape. */
export function parseOfShape(text: string, shape: JsonShape, depth: number): Parsed {
  const value = shape.depth > depth ? undefined : parseSound(text, shape);
  return value === undefined ? parseStrictText(text, depth) : { ok: true, value }; // which rule it breaks is found out at leisure
}

/** The value of a text that breaks no rule, else undefined. */
function parseSound(text: string, shape: JsonShape): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  // JSON.parse keeps the last of equal keys: then the value has fewer keys than the text has colons.
  const keys = shape.backslashes ? countEscapedKeys(value) : countKeys(value);
  return keys === shape.colons ? value : undefined;
}

/** The keys of a value and all in it; NaN when one of them or a number is not allowed. Unescaped text cannot hold an unpaired surrogate. */
function countKeys(value: unknown): number {
  if (typeof value === 'number') return Number.isFinite(value) ? 0 : Number.NaN;
  if (typeof value !== 'object' || value === null) return 0;
  let keys = 0;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) keys += countKeys(value[i]);
    return keys;
  }
  for (const key in value) keys += key === '__proto__' ? Number.NaN : 1 + countKeys((value as Record<string, unknown>)[key]);
  return keys;
}

function countEscapedKeys(value: unknown): number {
  const walk = newWalk(true);
  visit(value, walk);
  return walk.fault || walk.misread ? Number.NaN : walk.keys;
}

export function parseStrictText(text: string, depth: number = wireLimits.depth): Parsed {
  if (text.charCodeAt(0) === 0xfeff) return refuse('byte-order-mark');
  if (text.includes('\0')) return refuse('nul-byte');
  const shape = scan(text, depth);
  if (shape.depth > depth) return refuse('too-deep', `nesting is over ${depth}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // V8 quotes the text in its message; only the kind of fault may leave this function.
    return refuse('invalid-json', /end of JSON|Unterminated/.test(String(error)) ? 'the text ends early' : 'the text is not JSON');
  }
  const walk = newWalk(shape.escapes);
  visit(value, walk);
  if (walk.misread) return parseOneByOne(text, depth);
  if (walk.fault) return walk.fault;
  // JSON.parse keeps the last of equal keys: then the value has fewer keys than the text has colons.
  if (walk.keys !== shape.colons) return refuse('duplicate-key');
  return { ok: true, value };
}

/** Reads each key by itself: see parse-json.ts for what JSON.parse makes of a key that may have a backslash. */
function parseOneByOne(text: string, depth: number): Parsed {
  const parser = createDenseParser(text, { depth, build: true });
  parser.step(Number.POSITIVE_INFINITY);
  const fault = parser.fault();
  return fault ? refuse(fault) : { ok: true, value: parser.value() };
}

/** Counts colons outside strings and the deepest nesting, before anything is interpreted. Jumps over strings with indexOf. */
function scan(text: string, most: number): { depth: number; colons: number; escapes: boolean } {
  let depth = 0;
  let deepest = 0;
  let colons = 0;
  let escapes = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: {
        let end = text.indexOf('"', i + 1);
        while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
        if (end === -1) return { depth: deepest, colons, escapes };
        i = end;
        break;
      }
      case 0x3a:
        colons++;
        break;
      case 0x7b:
      case 0x5b:
        if (++depth > deepest) deepest = depth;
        if (deepest > most) return { depth: deepest, colons, escapes };
        break;
      case 0x7d:
      case 0x5d:
        depth--;
        break;
    }
  }
  escapes = text.includes('\\u'); // only an escape can write an unpaired surrogate: the decoder refused the raw one
  return { depth: deepest, colons, escapes };
}

function isEscaped(text: string, quote: number): boolean {
  let at = quote - 1;
  while (text.charCodeAt(at) === 0x5c) at--;
  return (quote - at) % 2 === 0;
}

type Walk = { keys: number; fault: Parsed | null; surrogates: boolean; misread: boolean };
const newWalk = (surrogates: boolean): Walk => ({ keys: 0, fault: null, surrogates, misread: false });

function visit(value: unknown, walk: Walk): void {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) walk.fault = refuse('number-out-of-range');
    return;
  }
  if (typeof value === 'string') {
    if (walk.surrogates && !value.isWellFormed()) walk.fault = refuse('lone-surrogate');
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) visit(item, walk);
    return;
  }
  for (const key in value) {
    walk.keys++;
    if (key === '__proto__') walk.fault = refuse('forbidden-key');
    if (key.includes('\\')) walk.misread = true; // or so it may be
    if (walk.surrogates && !key.isWellFormed()) walk.fault = refuse('lone-surrogate');
    visit((value as Record<string, unknown>)[key], walk);
  }
}
