import type { PayloadSchema, Scalar, SchemaType } from './payload-schema.ts';

/** Where a payload is not as declared: a JSON pointer into it, and the word of the schema that it breaks. It never repeats the value. */
export type PayloadFault = { pointer: string; keyword: string; message: string };

const isType: Readonly<Record<SchemaType, (value: unknown) => boolean>> = {
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: (value) => typeof value === 'number' && Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
};
const article = (type: SchemaType): string => (type === 'null' ? type : /^[aio]/.test(type) ? `an ${type}` : `a ${type}`);

/** The first place where a payload is not as its schema says; null when it is. Takes time in proportion to the payload and keeps nothing of it. */
export function findPayloadFault(schema: PayloadSchema, value: unknown, pointer = ''): PayloadFault | null {
  const say = (keyword: string, rule: string): PayloadFault => ({
    pointer,
    keyword,
    message: `${pointer === '' ? 'the payload' : pointer} ${rule}`,
  });
  const { type, enum: values } = schema;
  const types = typeof type === 'string' ? [type] : (type ?? null);
  if (types && !types.some((each) => isType[each](value))) return say('type', `must be ${types.map(article).join(' or ')}`);
  if (values && !values.some((each) => each === value)) return say('enum', `must be one of ${listValues(values)}`);
  if (typeof value === 'string') return checkString(schema, value, say);
  if (typeof value === 'number') return checkNumber(schema, value, say);
  if (Array.isArray(value)) return checkArray(schema, value, pointer, say);
  return isType.object(value) ? checkObject(schema, value as Record<string, unknown>, pointer, say) : null; // just looked at
}

type Say = (keyword: string, rule: string) => PayloadFault;

const listValues = (values: readonly Scalar[]): string => {
  const shown = values.slice(0, 12).map((value) => JSON.stringify(value));
  return values.length > shown.length ? `${shown.join(', ')} and ${values.length - shown.length} more` : shown.join(', ');
};

/** Characters as JSON Schema counts them: an emoji is one. They are counted only where the number of code units does not tell. */
const countCharacters = (text: string): number => {
  let characters = 0;
  for (const _character of text) characters++;
  return characters;
};

function checkString({ minLength = 0, maxLength = Number.POSITIVE_INFINITY }: PayloadSchema, text: string, say: Say): PayloadFault | null {
  if (text.length < minLength || (text.length < 2 * minLength && countCharacters(text) < minLength))
    return say('minLength', minLength === 1 ? 'must not be empty' : `must have at least ${minLength} characters`);
  if (text.length > maxLength && (text.length > 2 * maxLength || countCharacters(text) > maxLength))
    return say('maxLength', `must have at most ${maxLength} characters`);
  return null;
}

function checkNumber({ minimum, maximum }: PayloadSchema, value: number, say: Say): PayloadFault | null {
  if (minimum !== undefined && value < minimum) return say('minimum', `must be at least ${minimum}`);
  return maximum !== undefined && value > maximum ? say('maximum', `must be at most ${maximum}`) : null;
}

function checkArray(
  { items, minItems = 0, maxItems }: PayloadSchema,
  list: readonly unknown[],
  pointer: string,
  say: Say,
): PayloadFault | null {
  if (list.length < minItems) return say('minItems', `must have at least ${minItems} entries`);
  if (maxItems !== undefined && list.length > maxItems) return say('maxItems', `must have at most ${maxItems} entries`);
  if (items === undefined) return null;
  for (let index = 0; index < list.length; index++) {
    const fault = findPayloadFault(items, list[index], `${pointer}/${index}`);
    if (fault) return fault;
  }
  return null;
}

const escapePart = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');

function checkObject(
  { properties = {}, required = [], additionalProperties }: PayloadSchema,
  value: Record<string, unknown>,
  pointer: string,
  say: Say,
): PayloadFault | null {
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return say('required', `must have "${missing}"`);
  const unknown = additionalProperties === false ? Object.keys(value).find((name) => !Object.hasOwn(properties, name)) : undefined;
  if (unknown !== undefined) return say('additionalProperties', `must not have "${unknown.slice(0, 64)}"`);
  for (const name of Object.keys(value)) {
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined; // by what is there: the work is the payload's, not the schema's
    const fault = schema && findPayloadFault(schema, value[name], `${pointer}/${escapePart(name)}`);
    if (fault) return fault;
  }
  return null;
}
