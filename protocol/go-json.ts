/**
 * The JSON of the public Lattice server is Go's encoding/json over structs: which members are written, in which order and with which escapes
 * follows from the struct, not from the text that was read. A shape describes such a struct; `decode` reads a parsed text into it the way Go
 * would (null is the zero value), and `encode` writes the bytes that Go would.
 */
export type Shape =
  | 'string'
  | 'int'
  | 'bool'
  | { readonly list: Shape }
  | { readonly map: 'string' }
  | { readonly struct: readonly Field[] }
  | { readonly pointer: Shape };
export type Field = { readonly name: string; readonly shape: Shape; readonly omitEmpty?: boolean };
export type GoValue = string | number | boolean | null | readonly GoValue[] | { readonly [name: string]: GoValue };

export class ShapeFault extends Error {
  readonly code: 'unknown-field' | 'invalid-manifest';
  constructor(detail: string, code: ShapeFault['code'] = 'invalid-manifest') {
    super(detail);
    this.code = code;
  }
}

const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`);
const refuse = (at: string, wanted: string, value: unknown): never => {
  throw new ShapeFault(`${at || '/'}: must be ${wanted}, not ${kindOf(value)}`);
};
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a parsed JSON value into a shape. Throws ShapeFault with the JSON pointer of what does not fit. */
export function decode(value: unknown, shape: Shape, at = ''): GoValue {
  if (shape === 'string')
    return value === null || value === undefined ? '' : typeof value === 'string' ? value : refuse(at, 'a string', value);
  if (shape === 'bool')
    return value === null || value === undefined ? false : typeof value === 'boolean' ? value : refuse(at, 'true or false', value);
  if (shape === 'int')
    return value === null || value === undefined
      ? 0
      : Number.isSafeInteger(value)
        ? (value as number) + 0
        : refuse(at, 'a whole number', value);
  if ('pointer' in shape) return value === null || value === undefined ? null : decode(value, shape.pointer, at);
  if ('list' in shape) {
    if (value === null || value === undefined) return null;
    if (!Array.isArray(value)) return refuse(at, 'an array', value);
    return value.map((item, index) => decode(item, shape.list, `${at}/${index}`));
  }
  if (value !== null && value !== undefined && !isObject(value)) return refuse(at, 'an object', value);
  const members = value ?? {};
  if ('map' in shape) return value === null || value === undefined ? null : decodeMap(members, at);
  return decodeStruct(members, shape.struct, at);
}

function decodeMap(members: Record<string, unknown>, at: string): GoValue {
  return Object.fromEntries(Object.entries(members).map(([name, item]) => [name, decode(item, 'string', `${at}/${name.slice(0, 64)}`)]));
}

function decodeStruct(members: Record<string, unknown>, fields: readonly Field[], at: string): GoValue {
  const unknown = Object.keys(members).find((name) => !fields.some((field) => field.name === name));
  if (unknown !== undefined) throw new ShapeFault(`${at}/${unknown.slice(0, 64)}: no such field`, 'unknown-field');
  return Object.fromEntries(fields.map(({ name, shape }) => [name, decode(members[name], shape, `${at}/${name}`)]));
}

const isEmpty = (value: GoValue): boolean =>
  value === null || value === '' || value === 0 || value === false || (Array.isArray(value) && value.length === 0);

/** The text that Go writes for a value of this shape. */
export function encode(value: GoValue, shape: Shape): string {
  if (shape === 'string') return quote(value as string); // decode made it so, here and below
  if (shape === 'int' || shape === 'bool') return String(value);
  if (value === null) return 'null';
  if ('pointer' in shape) return encode(value, shape.pointer);
  if ('list' in shape) return `[${(value as readonly GoValue[]).map((item) => encode(item, shape.list)).join(',')}]`;
  const members = value as Readonly<Record<string, GoValue>>;
  if ('map' in shape) {
    const names = Object.keys(members).sort(byBytes);
    return `{${names.map((name) => `${quote(name)}:${quote(members[name] as string)}`).join(',')}}`;
  }
  const written = shape.struct.filter(({ name, omitEmpty }) => !(omitEmpty && isEmpty(members[name] ?? null)));
  return `{${written.map(({ name, shape: inner }) => `${quote(name)}:${encode(members[name] ?? null, inner)}`).join(',')}}`;
}

/** Go sorts strings by their UTF-8 bytes; JavaScript by UTF-16 units. */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));

const escapes: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

/** JSON.stringify writes control characters as Go does; the five characters that could end a script element are Go's own. */
const quote = (text: string): string => JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (character) => escapes[character] ?? character);
