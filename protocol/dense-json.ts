import type { JsonRule } from './strict-json.ts';

/**
 * A JSON text with very many values in few bytes costs JSON.parse tens of milliseconds in one go, and duplicates are only seen behind it. This
 * parser keeps the same rules, checks each as it goes, and can stop after any value. Without `build` it keeps no value at all.
 */
export type DenseOptions = { depth: number; build: boolean; from?: number; to?: number };
/** Where the members of the outermost object stand in the text, and how many values each has. */
export type Member = { from: number; to: number; values: number };
export type DenseParser = {
  /** Works off about so many values. True: it has come to the end, or to a fault. */
  step(values: number): boolean;
  fault(): JsonRule | null;
  value(): unknown;
  members(): ReadonlyMap<string, Member>;
};

type Place = 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'comma-or-end' | 'end';
type Open = { keys: Set<string> | string | null; list: unknown[] | null; record: Record<string, unknown> | null; key: string };

const numberPattern = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;
const charactersPerValue = 64; // a long string counts as several values
const noList: unknown[] = [];
const noRecord: Record<string, unknown> = {}; // stand for what is looked at but not kept
const literals = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const;

export function createDenseParser(text: string, { depth, build, from = 0, to = text.length }: DenseOptions): DenseParser {
  const open: Open[] = [];
  const members = new Map<string, Member>();
  let at = from;
  let place: Place = 'value';
  let top: Open | null = null; // the innermost
  let root: unknown;
  let fault: JsonRule | null = null;
  let left = 0;
  let seen = 0;
  let memberFrom = 0;
  let memberSeen = 0;

  function fail(rule: JsonRule = 'invalid-json'): void {
    fault ??= rule;
    open.length = 0;
  }

  function put(value: unknown): void {
    if (!top) {
      root = value;
      place = 'end';
      return;
    }
    if (build) {
      if (top.list) top.list.push(value);
      else if (top.record) top.record[top.key] = value;
    }
    place = 'comma-or-end';
    if (open.length === 1) noteMember(top);
  }

  function noteMember({ key }: Open): void {
    if (key !== '') members.set(key, { from: memberFrom, to: at, values: seen - memberSeen });
  }

  function begin(list: boolean): void {
    if (open.length >= depth) return fail('too-deep');
    top = {
      keys: null,
      list: list ? (build ? [] : noList) : null,
      record: list ? null : build ? {} : noRecord,
      key: '',
    };
    open.push(top);
    place = list ? 'value-or-end' : 'key-or-end';
  }

  function close(list: boolean): void {
    const closed = open.pop();
    if (!closed || (closed.list !== null) !== list) return fail();
    top = open.at(-1) ?? null;
    put(closed.list ?? closed.record);
  }

  /** The text between two quotes, or null when it is no JSON string or holds an unpaired surrogate. */
  function readString(): string | null {
    const start = at + 1;
    let end = start;
    let escaped = false;
    for (; ; end++) {
      const code = text.charCodeAt(end);
      if (code === 0x22) break;
      if (!(code >= 0x20) || end >= to) return null; // NaN behind the end
      if (code !== 0x5c) continue;
      escaped = true;
      end++;
    }
    at = end + 1;
    left -= Math.floor((end - start) / charactersPerValue);
    if (at > to) return null;
    if (!escaped) return text.slice(start, end);
    try {
      const value: string = JSON.parse(text.slice(start - 1, at));
      if (value.isWellFormed()) return value;
      fail('lone-surrogate');
      return null;
    } catch {
      return null;
    }
  }

  function readKey(): void {
    const key = text.charCodeAt(at) === 0x22 && top ? readString() : null;
    if (key === null || !top) return fail();
    if (key === '__proto__') return fail('forbidden-key');
    if (!isNew(top, key)) return fail('duplicate-key');
    skipSpace();
    if (text.charCodeAt(at) !== 0x3a || at >= to) return fail();
    at++;
    skipSpace();
    top.key = key;
    place = 'value';
    if (open.length > 1) return;
    memberFrom = at;
    memberSeen = seen;
  }

  function readNumber(): void {
    const start = at;
    for (; at < to; at++) {
      const code = text.charCodeAt(at);
      if (!((code >= 0x30 && code <= 0x39) || code === 0x2e || code === 0x2d || code === 0x2b || (code | 0x20) === 0x65)) break;
    }
    const digits = text.slice(start, at);
    const value = Number(digits);
    left -= Math.floor((at - start) / charactersPerValue);
    if (!numberPattern.test(digits)) return fail();
    if (!Number.isFinite(value)) return fail('number-out-of-range');
    put(value);
  }

  function readLiteral(): void {
    for (const [word, value] of literals)
      if (text.startsWith(word, at) && at + word.length <= to) {
        at += word.length;
        return put(value);
      }
    readNumber();
  }

  function readValue(code: number): void {
    if (code === 0x22) {
      const value = readString();
      return value === null ? fail() : put(value);
    }
    if (code !== 0x7b && code !== 0x5b) return readLiteral();
    at++;
    begin(code === 0x5b);
  }

  function skipSpace(): void {
    for (; at < to; at++) {
      const code = text.charCodeAt(at);
      if (code !== 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) return;
    }
  }

  function readNext(): void {
    const code = at < to ? text.charCodeAt(at) : Number.NaN;
    const ends = code === 0x7d || code === 0x5d;
    if (ends && (place === 'comma-or-end' || place === (code === 0x7d ? 'key-or-end' : 'value-or-end'))) {
      at++;
      return close(code === 0x5d);
    }
    if (place === 'comma-or-end') {
      if (code !== 0x2c) return fail();
      at++;
      place = top?.list ? 'value' : 'key';
    } else if (place === 'key' || place === 'key-or-end') readKey();
    else readValue(code);
  }

  return {
    step(values) {
      left = values;
      while (left-- > 0 && !fault) {
        const before = at;
        skipSpace();
        left -= Math.floor((at - before) / charactersPerValue);
        if (place === 'end') {
          if (at < to) fail();
          return true;
        }
        seen++;
        readNext();
      }
      return fault !== null;
    },
    fault: () => fault,
    value: () => root,
    members: () => members,
  };
}

/** Most objects have few keys: the first is only remembered, the others are kept in a set. */
function isNew(open: Open, key: string): boolean {
  if (open.keys === null) {
    open.keys = key;
    return true;
  }
  if (typeof open.keys === 'string') open.keys = new Set([open.keys]);
  const before = open.keys.size;
  return open.keys.add(key).size > before;
}
