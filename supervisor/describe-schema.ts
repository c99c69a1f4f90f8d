import type { PayloadSchema } from '../protocol/payload-schema.ts';

/**
 * A payload schema in one line, as a person would write it down: `{ name: string 1..64, times?: integer >= 0 }`. Whatever decides about a payload
 * is in it, so that two schemas that read the same accept the same.
 */
export function describeSchema(schema: PayloadSchema): string {
  const { type, enum: values } = schema;
  const types = type === undefined ? [] : typeof type === 'string' ? [type] : type;
  if (values) return [...values.map((value) => JSON.stringify(value))].join(' | ');
  return types.length === 0 ? 'anything' : types.map((each) => describeType(each, schema)).join(' | ');
}

function describeType(type: string, schema: PayloadSchema): string {
  if (type === 'object') return describeObject(schema);
  if (type === 'array') return `[${describeSchema(schema.items ?? {})}]${describeRange(schema.minItems, schema.maxItems)}`;
  if (type === 'string') return `string${describeRange(schema.minLength, schema.maxLength)}`;
  return type === 'number' || type === 'integer' ? `${type}${describeRange(schema.minimum, schema.maximum)}` : type;
}

function describeObject({ properties = {}, required = [], additionalProperties }: PayloadSchema): string {
  const names = new Set(required);
  const rows = Object.entries(properties).map(
    ([name, row]) => `${describeName(name)}${names.has(name) ? '' : '?'}: ${describeSchema(row)}`,
  );
  if (additionalProperties !== false) return rows.length === 0 ? 'object' : `{ ${rows.join(', ')} }`;
  return rows.length === 0 ? '{} only' : `{ ${rows.join(', ')} } only`;
}

const describeName = (name: string): string => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));

function describeRange(least: number | undefined, most: number | undefined): string {
  if (least !== undefined && most !== undefined) return ` ${least}..${most}`;
  if (least !== undefined) return ` >= ${least}`;
  return most === undefined ? '' : ` <= ${most}`;
}
