import fc from 'fast-check';
import t from 'tap';
import { z } from 'zod';
import { findPayloadFault } from '../../protocol/check-payload.ts';
import { parseManifest } from '../../protocol/manifest.ts';
import { findSchemaFault, type PayloadSchema, payloadSchema, schemaLimits } from '../../protocol/payload-schema.ts';

const greet: PayloadSchema = {
  type: 'object',
  properties: {
    name: { type: 'string', description: 'who is greeted', minLength: 1, maxLength: 3 },
    times: { type: 'integer', minimum: 1, maximum: 5, default: 1 },
    mood: { enum: ['glad', 'sad', null] },
    tags: { type: 'array', items: { type: ['string', 'null'] }, minItems: 1, maxItems: 2 },
    'a/b~c': { type: 'object', properties: { x: { type: 'boolean' } }, additionalProperties: false },
  },
  required: ['name'],
};

const payloads: [payload: unknown, keyword: string | null, pointer?: string][] = [
  [{ name: 'Ada' }, null],
  [{ name: 'Ada', times: 5, mood: null, tags: ['x', null], 'a/b~c': { x: true }, other: 1 }, null],
  [{ name: '👩‍💻' }, null],
  [{ name: '👩‍💻!' }, 'maxLength', '/name'],
  [null, 'type', ''],
  [[], 'type', ''],
  [{}, 'required', ''],
  [{ name: 7 }, 'type', '/name'],
  [{ name: '' }, 'minLength', '/name'],
  [{ name: 'Ada', times: 1.5 }, 'type', '/times'],
  [{ name: 'Ada', times: 0 }, 'minimum', '/times'],
  [{ name: 'Ada', times: 6 }, 'maximum', '/times'],
  [{ name: 'Ada', mood: 'Glad' }, 'enum', '/mood'],
  [{ name: 'Ada', tags: [] }, 'minItems', '/tags'],
  [{ name: 'Ada', tags: ['a', 'b', 'c'] }, 'maxItems', '/tags'],
  [{ name: 'Ada', tags: ['a', 1] }, 'type', '/tags/1'],
  [{ name: 'Ada', 'a/b~c': { y: 1 } }, 'additionalProperties', '/a~1b~0c'],
  [{ name: 'Ada', 'a/b~c': { x: 'hunter22' } }, 'type', '/a~1b~0c/x'],
];
for (const [payload, keyword, pointer] of payloads)
  t.test(
    `given ${JSON.stringify(payload)}, when it is checked, then ${keyword ?? 'nothing'} is broken, and the value is not repeated`,
    async (t) => {
      const fault = findPayloadFault(greet, payload);
      t.same(fault && { keyword: fault.keyword, pointer: fault.pointer }, keyword === null ? null : { keyword, pointer });
      t.notMatch(fault?.message ?? '', 'hunter22');
    },
  );

const nested = (depth: number): object => (depth === 0 ? { type: 'string' } : { type: 'array', items: nested(depth - 1) });
const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`p${at}`, {}]));
const faults: [what: string, schema: unknown, path: string, message: RegExp][] = [
  ['a reference', { $ref: '#/x' }, '', /"\$ref" is not one of the words/],
  ['a pattern', { type: 'string', pattern: '(a+)+$' }, '', /"pattern" is not one of the words/],
  ['an alternative', { anyOf: [] }, '', /"anyOf"/],
  ['a name of every object', { type: 'object', constructor: {} }, '', /"constructor"/],
  ['a list', [], '', /is an object/],
  ['no schema', true, '', /is an object/],
  ['a type that is none', { type: 'text' }, 'type', /one of object, array/],
  ['two types', { type: ['string', 'number'] }, 'type', /one and "null"/],
  ['a word of another type', { type: 'string', minimum: 1 }, 'minimum', /needs the type number or integer/],
  ['a word without a type', { properties: {} }, 'properties', /needs the type object/],
  ['a fraction of a length', { type: 'string', minLength: 0.5 }, 'minLength', /./],
  ['limits that cross', { type: 'integer', minimum: 5, maximum: 4 }, 'minimum', /nothing could match/],
  ['a required name that is no property', { type: 'object', required: ['x'] }, 'required', /"x" is not one of the properties/],
  ['a default that it refuses', { type: 'string', maxLength: 1, default: 'xx' }, 'default', /does not match the schema itself/],
  ['a value that it refuses', { type: 'string', enum: ['a', 1] }, 'enum/1', /does not match/],
  ['a value twice', { enum: ['a', 'a'] }, 'enum', /twice/],
  ['no value', { enum: [] }, 'enum', /./],
  ['an invisible name', { type: 'object', properties: { 'a\u202eb': {} } }, 'properties', /invisible/],
  ['too many properties', { type: 'object', properties: many(schemaLimits.properties + 1) }, 'properties', /at most 64/],
  [
    'too many schemas',
    {
      type: 'object',
      properties: {
        a: { type: 'object', properties: many(64) },
        b: { type: 'object', properties: many(64) },
        c: { type: 'object', properties: many(64) },
        d: { type: 'object', properties: many(64) },
      },
    },
    'properties/d/properties/p59',
    /at most 256/,
  ],
  ['too much depth', nested(schemaLimits.depth), 'items/items/items/items/items/items/items/items', /at most 8 deep/],
  [
    'a fault within',
    { type: 'object', properties: { a: { type: 'array', items: { type: 'strin' } } } },
    'properties/a/items/type',
    /one of/,
  ],
];
for (const [what, schema, path, message] of faults)
  t.test(`given ${what}, when it is read as a schema, then it is refused with its place`, async (t) => {
    const fault = findSchemaFault(schema);
    t.match(fault, { message });
    t.equal(fault?.path.join('/'), path);
  });

t.test('given the limits themselves, when schemas reach them, then they are accepted', async (t) => {
  t.equal(findSchemaFault(greet), null);
  t.equal(findSchemaFault(nested(schemaLimits.depth - 1)), null);
  t.equal(findSchemaFault({ type: 'object', properties: many(schemaLimits.properties) }), null);
});

const manifest = (method: object) => ({
  schema: 'lattice.plugin.manifest.v3',
  id: 'example.hello',
  name: 'Hello',
  version: '1.0.0',
  publisher: 'dev.local',
  type: 'system',
  engine: 'node',
  capabilities: [],
  services: [{ name: 'greeter', methods: [{ name: 'greet', effect: 'read', scopes: [], ...method }] }],
  digest_sha256: '0'.repeat(64),
  signature_ed25519: `${'A'.repeat(86)}==`,
});
const parse = (method: object) => parseManifest(Buffer.from(JSON.stringify(manifest(method))));

t.test(
  'given a manifest with schemas, when it is read, then they are there, and one that is none is refused by its own rule',
  async (t) => {
    const parsed = parse({ params: greet, result: { type: 'string' } });
    t.same(parsed.ok && parsed.manifest.services?.[0]?.methods[0]?.params, greet);
    t.match(parsed.ok && parsed.signed.payload.toString(), '"result":{"type":"string"}', 'the signature covers them');
    t.match(parse({ params: { type: 'object', properties: { name: { type: 'string', format: 'email' } } } }), {
      ok: false,
      fault: { code: 'payload-schema', detail: /^\/services\/0\/methods\/0\/params\/properties\/name: "format" is not one of the words/ },
    });
  },
);

/** Schemas and payloads that often meet; texts are ASCII, because the other reader counts code units. */
const word = fc.string({ minLength: 0, maxLength: 3, unit: fc.constantFrom('a', 'b') });
const someSchema = fc.letrec<{ schema: PayloadSchema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3 },
    fc.record(
      { type: fc.constant('string' as const), minLength: fc.nat(2), maxLength: fc.integer({ min: 2, max: 3 }) },
      { requiredKeys: ['type'] },
    ),
    fc.record(
      { type: fc.constantFrom('integer' as const, 'number' as const), minimum: fc.nat(2), maximum: fc.integer({ min: 2, max: 4 }) },
      { requiredKeys: ['type'] },
    ),
    fc.record({ type: fc.constantFrom('boolean' as const, 'null' as const) }),
    fc.record({ enum: fc.uniqueArray(fc.oneof(word, fc.nat(3), fc.boolean()), { minLength: 1, maxLength: 3 }) }),
    fc.record(
      { type: fc.constant('array' as const), items: tie('schema'), minItems: fc.nat(1), maxItems: fc.integer({ min: 1, max: 2 }) },
      { requiredKeys: ['type', 'items'] },
    ),
    fc
      .tuple(fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('schema'), { noNullPrototype: true }), fc.boolean(), fc.nat(2))
      .map(([properties, additionalProperties, most]) => ({
        type: 'object' as const,
        properties,
        required: Object.keys(properties).slice(0, most),
        additionalProperties,
      })),
  ),
})).schema;
const somePayload = fc.letrec((tie) => ({
  payload: fc.oneof(
    { maxDepth: 3 },
    word,
    fc.nat(5),
    fc.constantFrom(0.5, -1, true, false, null),
    fc.array(tie('payload'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('payload'), { noNullPrototype: true }),
  ),
})).payload;

t.test('given any schema and payload, when they are checked, then the verdict is that of another reader of JSON Schema', async (t) => {
  const seen = { accepted: 0, refused: 0 };
  fc.assert(
    fc.property(someSchema, somePayload, (schema, payload) => {
      const accepted = findPayloadFault(schema, payload) === null;
      seen[accepted ? 'accepted' : 'refused']++;
      return (
        payloadSchema.safeParse(schema).success &&
        z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(payload).success === accepted
      );
    }),
    { numRuns: 3000 },
  );
  t.ok(seen.accepted > 100 && seen.refused > 100, JSON.stringify(seen));
});
