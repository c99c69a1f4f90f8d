import { matchesText } from '../fixture/match-fixture.ts';
import { isRedacted, redactedMark } from '../harness/redact.ts';

export type ReplayMode = 'strict' | 'loose';
/** Where two values first differ; null when they do not. */
export type ValueDifference = { path: string; expected: unknown; got: unknown };

const volatileForms = [
  /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/, // a moment
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, // a UUID
  /^[0-9a-f]{32,}$/i, // a digest, or a random id
];
const leastMoment = 1e11; // milliseconds since 1970; counters do not get there

/** Changes from run to run by its nature: a time, a random id. */
const isVolatile = (value: unknown): boolean =>
  typeof value === 'number' ? Math.abs(value) >= leastMoment : typeof value === 'string' && volatileForms.some((form) => form.test(value));

/** A record with secrets taken out matches whatever stands in their place; loose also takes another time or random id for the same. */
export function findDifference(expected: unknown, got: unknown, mode: ReplayMode, path = ''): ValueDifference | null {
  if (Object.is(expected, got)) return null;
  const difference = { path: path === '' ? '/' : path, expected, got };
  if (expected === redactedMark) return got === undefined ? difference : null;
  if (typeof expected === 'string' && typeof got === 'string' && isRedacted(expected)) {
    const pattern = expected.replaceAll('\\', '\\\\').replaceAll('*', '\\*').replaceAll(redactedMark, '*');
    return matchesText(pattern.replaceAll('\\\\', '\\'), got) ? null : difference;
  }
  if (mode === 'loose' && typeof expected === typeof got && isVolatile(expected) && isVolatile(got)) return null;
  if (typeof expected !== 'object' || typeof got !== 'object' || expected === null || got === null) return difference;
  if (Array.isArray(expected) !== Array.isArray(got)) return difference;
  const names = new Set([...Object.keys(expected), ...Object.keys(got)]);
  for (const name of names) {
    const found = findDifference(own(expected, name), own(got, name), mode, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
    if (found) return found;
  }
  return null;
}

const own = (value: object, name: string): unknown => (Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined);
