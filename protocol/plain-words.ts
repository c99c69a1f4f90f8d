import type { z } from 'zod';
import { suggest } from './nearest.ts';

type Issue = z.core.$ZodRawIssue;

const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  null: 'null',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};
const units: Readonly<Record<string, string>> = {
  string: ' characters',
  array: ' entries',
  object: ' fields',
  set: ' entries',
  map: ' entries',
};
const formats: Readonly<Record<string, string>> = {
  datetime: 'a time like 2026-01-31T12:00:00Z',
  base64: 'base64',
  url: 'a URL',
};

const nameOf = (value: unknown): string => {
  if (value === null || typeof value === 'boolean') return String(value);
  return kinds[Array.isArray(value) ? 'array' : typeof value] ?? 'something else';
};
const show = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : nameOf(value));

/** What is said of each sort of fault that zod finds; what a schema says itself comes before this. */
const words: { readonly [Code in Issue['code']]?: (issue: Extract<Issue, { code: Code }>) => string } = {
  invalid_type: ({ expected, input }) =>
    `must be ${kinds[expected] ?? expected}, not ${expected === 'int' ? String(input) : nameOf(input)}`,
  invalid_value({ values, input }) {
    const texts = values.map(String);
    const must = texts.length === 1 ? `must be "${texts[0]}"` : `must be one of ${texts.join(', ')}`;
    return `${must}, not ${show(input)}${typeof input === 'string' && texts.length > 1 ? suggest(input, texts) : ''}`;
  },
  too_big({ origin, maximum, input }) {
    if (origin === 'number' || origin === 'int') return `must be at most ${maximum}, not ${input}`;
    return `must have at most ${maximum}${units[origin] ?? ''}`;
  },
  too_small({ origin, minimum, input }) {
    if (origin === 'number' || origin === 'int') return `must be at least ${minimum}, not ${input}`;
    return minimum === 1 ? 'must not be empty' : `must have at least ${minimum}${units[origin] ?? ''}`;
  },
  invalid_format: ({ format }) => (formats[format] ? `must be ${formats[format]}` : 'is not written as it must be'),
  unrecognized_keys({ keys, input, inst }) {
    const [key = ''] = keys;
    const given = new Set(Object.keys(Object(input)));
    return `has the unknown field ${show(key)}${suggest(
      key,
      fieldsOf(inst).filter((name) => !given.has(name)),
    )}`;
  },
  invalid_union: () => 'is of none of the forms that are possible',
};

/** The fields that an object's schema names. */
function fieldsOf(schema: unknown): string[] {
  const shape: unknown = Object(Object(Object(schema)._zod).def).shape;
  return Object.keys(Object(shape));
}

const missing = 'is missing';

/** For `safeParse`: the faults are told in plain words, with the name that was probably meant. */
export const plainly = {
  error(issue: Issue): string | undefined {
    if (issue.input === undefined && issue.code !== 'custom') return missing;
    // The table has the row of this code, or none.
    const say = words[issue.code] as ((issue: Issue) => string) | undefined;
    return say?.(issue);
  },
};

/** The fault to tell, with its place: a field that was misspelt rather than the one that is missing because of it. */
export function tellFirst(issues: readonly z.core.$ZodIssue[]): { pointer: string; message: string; issue: z.core.$ZodIssue | undefined } {
  const [first] = issues;
  const misspelt =
    first?.message === missing ? issues.find(({ code, message }) => code === 'unrecognized_keys' && message.endsWith('?')) : undefined;
  const issue = misspelt ?? first;
  return { pointer: `/${issue?.path.map(String).join('/') ?? ''}`, message: issue?.message ?? 'refused', issue };
}
