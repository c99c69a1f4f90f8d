import { z } from 'zod';
import { findPayloadFault } from './check-payload.ts';

/** What a payload is, in words of JSON Schema. `null` beside another word: that, or nothing. */
export const schemaTypes = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type SchemaType = (typeof schemaTypes)[number];
export type Scalar = string | number | boolean | null;

/**
 * The part of JSON Schema that a manifest may use: what a form can be made of, and what is checked in time that grows with the payload alone.
 * There are no references, alternatives or patterns: each would let a manifest say little and cost much.
 */
export type PayloadSchema = {
  readonly type?: SchemaType | readonly [SchemaType, 'null'];
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly Scalar[];
  readonly properties?: Readonly<Record<string, PayloadSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: PayloadSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
};

export const schemaLimits = { depth: 8, schemas: 256, properties: 64, enumValues: 64, nameChars: 64, textChars: 500 } as const;

type Path = readonly (string | number)[];
export type SchemaFault = { path: Path; message: string };

const text = z.string().min(1).max(schemaLimits.textChars);
const count = z.int().min(0).max(1_048_576);
const bound = z.number();
const scalar = z.union(
  [z.string().max(schemaLimits.textChars), z.number(), z.boolean(), z.null()],
  'a text, a number, true, false or null',
);
const typeWord = z.enum(schemaTypes);
const anObject = z.record(z.string(), z.unknown(), 'an object of schemas');
const unique = (items: readonly unknown[]): boolean => new Set(items).size === items.length;

/** Each word of a schema: the type of payload that it says something about (null: any), and how it is written. */
const keywords: Readonly<Record<keyof PayloadSchema, { of: readonly SchemaType[] | null; form: z.ZodType }>> = {
  type: {
    of: null,
    form: z.union([typeWord, z.tuple([typeWord, z.literal('null')])], `one of ${schemaTypes.join(', ')}, or a list of one and "null"`),
  },
  title: { of: null, form: text },
  description: { of: null, form: text },
  default: { of: null, form: z.unknown() },
  enum: { of: null, form: z.array(scalar).min(1).max(schemaLimits.enumValues).refine(unique, 'a value stands twice') },
  properties: { of: ['object'], form: anObject },
  required: { of: ['object'], form: z.array(z.string()).max(schemaLimits.properties).refine(unique, 'a name stands twice') },
  additionalProperties: { of: ['object'], form: z.boolean() },
  items: { of: ['array'], form: z.unknown() },
  minItems: { of: ['array'], form: count },
  maxItems: { of: ['array'], form: count },
  minLength: { of: ['string'], form: count },
  maxLength: { of: ['string'], form: count },
  minimum: { of: ['number', 'integer'], form: bound },
  maximum: { of: ['number', 'integer'], form: bound },
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const typesOf = ({ type }: PayloadSchema): readonly SchemaType[] | null =>
  type === undefined ? null : typeof type === 'string' ? [type] : type;

type Seen = { schemas: number; depth: number };

/** Why a value is no payload schema, at the first place; null when it is one. */
export function findSchemaFault(value: unknown, path: Path = [], seen: Seen = { schemas: 0, depth: 0 }): SchemaFault | null {
  if (!isObject(value)) return { path, message: 'a payload schema is an object' };
  if (++seen.schemas > schemaLimits.schemas) return { path, message: `a payload schema holds at most ${schemaLimits.schemas} schemas` };
  if (seen.depth >= schemaLimits.depth) return { path, message: `a payload schema nests at most ${schemaLimits.depth} deep` };
  return (
    findKeywordFault(value, path) ?? findInnerFault(value as PayloadSchema, path, seen) ?? findContradiction(value as PayloadSchema, path)
  ); // what the keywords hold has just been checked
}

function findKeywordFault(value: Record<string, unknown>, path: Path): SchemaFault | null {
  const types = keywords.type.form.safeParse(value.type).success ? typesOf(value as PayloadSchema) : null;
  for (const [name, given] of Object.entries(value)) {
    if (!Object.hasOwn(keywords, name))
      return { path, message: `"${name.slice(0, 64)}" is not one of the words of a payload schema: ${Object.keys(keywords).join(' ')}` };
    const { of, form } = keywords[name as keyof PayloadSchema]; // it is one of them
    const checked = form.safeParse(given);
    if (!checked.success) return { path: [...path, name], message: checked.error.issues[0]?.message ?? 'refused' };
    if (of && !types?.some((type) => of.includes(type)))
      return { path: [...path, name], message: `"${name}" needs the type ${of.join(' or ')}` };
  }
  return null;
}

function findInnerFault({ properties, items }: PayloadSchema, path: Path, seen: Seen): SchemaFault | null {
  const inner = (schema: unknown, place: Path): SchemaFault | null => {
    seen.depth++;
    const fault = findSchemaFault(schema, place, seen);
    seen.depth--;
    return fault;
  };
  const rows = Object.entries(properties ?? {});
  const at = [...path, 'properties'];
  if (rows.length > schemaLimits.properties) return { path: at, message: `an object has at most ${schemaLimits.properties} properties` };
  for (const [name, schema] of rows) {
    if (!isPropertyName(name)) return { path: at, message: 'a property is named in 1 to 64 characters, none of them invisible' };
    const fault = inner(schema, [...at, name]);
    if (fault) return fault;
  }
  return items === undefined ? null : inner(items, [...path, 'items']);
}

const isPropertyName = (name: string): boolean =>
  name.length >= 1 && name.length <= schemaLimits.nameChars && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name);

/** What nothing could ever match, or does not match itself, is a slip of its author. */
function findContradiction(schema: PayloadSchema, path: Path): SchemaFault | null {
  const { properties = {}, required = [], enum: values, default: proposed, ...rest } = schema;
  const missing = required.find((name) => !Object.hasOwn(properties, name));
  if (missing !== undefined) return { path: [...path, 'required'], message: `"${missing.slice(0, 64)}" is not one of the properties` };
  for (const [least, most] of [
    ['minItems', 'maxItems'],
    ['minLength', 'maxLength'],
    ['minimum', 'maximum'],
  ] as const)
    if ((rest[least] ?? 0) > (rest[most] ?? Number.POSITIVE_INFINITY) && rest[least] !== undefined)
      return { path: [...path, least], message: `${least} is over ${most}: nothing could match` };
  const odd = values?.findIndex((value) => findPayloadFault(rest, value) !== null) ?? -1;
  if (odd !== -1) return { path: [...path, 'enum', odd], message: 'the value does not match the rest of the schema' };
  const fault = proposed === undefined ? null : findPayloadFault(schema, proposed);
  return fault && { path: [...path, 'default'], message: `it does not match the schema itself: ${fault.message}` };
}

/** A payload schema in a manifest. */
export const payloadSchema = z.unknown().transform((value, context): PayloadSchema => {
  const fault = findSchemaFault(value);
  if (fault === null) return value as PayloadSchema; // just checked
  context.addIssue({ code: 'custom', path: [...fault.path], message: fault.message, params: { rule: 'payload-schema' } });
  return z.NEVER;
});
