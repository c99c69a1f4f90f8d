import { createDenseParser } from './dense-json.ts';

/**
 * `JSON.parse` for texts whose keys are not ours. V8 12.8 to 14.6 at least (https://github.com/nodejs/node/issues/63785) may take an escaped key
 * for the key that another text had in its place: after `{"a":1,"\\":2}`, `{"a":1,"\n":2}` has the key `\` as well. So one plugin could change what
 * another one is understood to say. It compares the raw text of a key with the key it expects, and both are of one length when decoded, so
 * the first escape stands where the expected key has a backslash itself: a value none of whose keys holds a backslash was read right.
 *
 * @throws SyntaxError when the text is no JSON, and for equal keys, `__proto__` and unpaired surrogates where a key holds a backslash
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!text.includes('\\') || !hasBackslashKey(value)) return value;
  const parser = createDenseParser(text, { depth: Number.POSITIVE_INFINITY, build: true });
  parser.step(Number.POSITIVE_INFINITY);
  if (parser.fault() !== null) throw new SyntaxError(`the text is not sound JSON: ${parser.fault()}`);
  return parser.value();
}

/** The same for a text that this program wrote itself: what it holds is the writer's word. */
export const parseOwnJson = <Value>(text: string): Value => parseJson(text) as Value;

function hasBackslashKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some(hasBackslashKey);
  return Object.entries(value).some(([key, inner]) => key.includes('\\') || hasBackslashKey(inner));
}
