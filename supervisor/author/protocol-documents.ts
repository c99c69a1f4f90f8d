import { z } from 'zod';
import { capabilities } from '../../protocol/capabilities.ts';
import { childMethods, notifications } from '../../protocol/child-methods.ts';
import { errorTable } from '../../protocol/errors.ts';
import { hostMethodNames, hostMethods } from '../../protocol/host-methods.ts';
import { protocolVersion } from '../../protocol/version.ts';

type JsonSchema = Record<string, unknown>;
const dialect = 'https://json-schema.org/draft/2020-12/schema';

/** Without the dialect, which stands once at the top of a document. */
function describeSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

type Described = { doc: string; params: z.ZodType; result: z.ZodType };

/** The parameters of a method as OpenRPC wants them: one content descriptor a field, passed by name. */
function describeMethod(name: string, { doc, params, result }: Described, more: object) {
  const { properties = {}, required = [] } = describeSchema(params, 'input') as { properties?: JsonSchema; required?: string[] };
  const fields = Object.entries(properties).sort(([a], [b]) => Number(required.includes(b)) - Number(required.includes(a))); // OpenRPC: required ones first
  return {
    name,
    description: doc,
    paramStructure: 'by-name',
    params: fields.map(([field, schema]) => ({ name: field, required: required.includes(field), schema })),
    result: { name: 'result', schema: describeSchema(result, 'output') },
    ...more,
  };
}

const errors = Object.entries(errorTable).map(([word, { rpc, title }]) => ({ code: rpc, message: title, data: { code: word } }));

/** What plugin and supervisor say to each other, as an OpenRPC document. `x-direction` tells who asks whom. */
export function createOpenRpc(version: string): object {
  return {
    openrpc: '1.3.2',
    info: {
      title: 'Lattice plugin protocol',
      version,
      description: `Protocol ${protocolVersion}: JSON-RPC 2.0, one message a line, on the plugin's standard input and output. See docs/PROTOCOL.md.`,
    },
    methods: [
      ...hostMethodNames.map((name) => {
        const row = hostMethods[name];
        return describeMethod(name, row, {
          'x-direction': 'plugin-to-supervisor',
          'x-capability': row.capability,
          'x-risk': capabilities[row.capability].risk,
          'x-timeout-ms': row.timeoutMs,
          examples: [
            {
              name: 'sample',
              params: Object.entries(row.sample.params).map(([field, value]) => ({ name: field, value })),
              result: { name: 'result', value: row.sample.result },
            },
          ],
          errors,
        });
      }),
      ...Object.entries(childMethods).map(([name, row]) =>
        describeMethod(name, row, { 'x-direction': 'supervisor-to-plugin', 'x-timeout-ms': row.timeoutMs }),
      ),
      ...Object.entries(notifications).map(([name, row]) => {
        const { result: _none, ...notification } = describeMethod(name, { ...row, result: z.null() }, { 'x-direction': 'both' });
        return notification;
      }),
    ],
  };
}

/** The same as JSON Schemas: `<method>.params` and `<method>.result` under `$defs`, and the error object. */
export function createSchemas(): object {
  const rows: [string, { params: z.ZodType; result?: z.ZodType }][] = [
    ...Object.entries(hostMethods),
    ...Object.entries(childMethods),
    ...Object.entries(notifications),
  ];
  const definitions = rows.flatMap(([name, { params, result }]) => [
    [`${name}.params`, describeSchema(params, 'input')],
    ...(result ? [[`${name}.result`, describeSchema(result, 'output')]] : []),
  ]);
  const error = {
    type: 'object',
    required: ['code', 'message', 'data'],
    properties: {
      code: { type: 'integer', enum: Object.values(errorTable).map(({ rpc }) => rpc) },
      message: { type: 'string' },
      data: {
        type: 'object',
        required: ['code'],
        properties: {
          code: { type: 'string', enum: Object.keys(errorTable) },
          hint: { type: 'string' },
          pointer: { type: 'string' },
          line: { type: 'string' },
        },
      },
    },
  };
  return { $schema: dialect, title: 'Lattice plugin protocol', $defs: { ...Object.fromEntries(definitions), error } };
}
