import t from 'tap';
import type { PayloadSchema } from '../../protocol/payload-schema.ts';
import { describeSchema } from '../../supervisor/describe-schema.ts';
import { id, openSupervisor, operator } from '../support/open-supervisor.ts';

const params: PayloadSchema = { type: 'object', properties: { name: { type: 'string', maxLength: 8 } }, required: ['name'] };
const services = (more: object) => [{ name: 'tool', methods: [{ name: 'say', effect: 'read', scopes: ['plugin:call'], ...more }] }];

t.test('given a method that declares its payload, when it is called with another, then the plugin never sees it', async (t) => {
  const { supervisor, put, runner } = await openSupervisor(t);
  put({ services: services({ params }) });
  await supervisor.start();
  await supervisor.setStatus({ id, status: 'installed' }, operator);
  await supervisor.setStatus({ id, status: 'active' }, operator);
  let calls = 0;
  Object.assign(runner.last(), { invoke: async () => ++calls });
  const options = () => ({ signal: new AbortController().signal, requestId: 'r' });
  const call = (payload: unknown, scopes = operator.scopes) =>
    supervisor.call({ id, service: 'tool', method: 'say', payload }, { ...operator, scopes }, options());

  await t.rejects(call({ name: 'too long a name' }), {
    code: 'invalid-params',
    message: 'tool.say of example.bundle: /name must have at most 8 characters',
    details: { rule: 'payload', pointer: '/name', keyword: 'maxLength', hint: 'it takes { name: string <= 8 }' },
  });
  await t.rejects(call(undefined), { code: 'invalid-params', details: { pointer: '', keyword: 'type' } });
  await t.rejects(call({}, []), { code: 'forbidden' }, 'who may not call is not told what it takes');
  t.equal(calls, 0);
  t.equal(await call({ name: 'Ada' }), 1);
  t.match(supervisor.show(id).services, [{ methods: [{ params, result: null }] }]);
});

t.test('given a version that declares another payload, when it is offered, then the upgrade and its risk say so', async (t) => {
  const { supervisor, activate, offer } = await openSupervisor(t);
  await activate();
  await offer({ version: '1.0.1', services: services({ params }) });
  t.match(supervisor.show(id).upgrade, {
    differences: {
      services: { changed: [{ method: 'tool.say', changes: [{ field: 'params', from: 'anything', to: '{ name: string <= 8 }' }] }] },
    },
    risk: { level: 'medium', reasons: ['callers of tool.say may have to send something else'] },
  });
});

const told: [PayloadSchema, string][] = [
  [{}, 'anything'],
  [{ type: ['string', 'null'], minLength: 1 }, 'string >= 1 | null'],
  [{ type: 'string', enum: ['a', 'b'] }, '"a" | "b"'],
  [{ type: 'array', items: { type: 'number', minimum: 0, maximum: 1 }, maxItems: 3 }, '[number 0..1] <= 3'],
  [{ type: 'array' }, '[anything]'],
  [{ type: 'object' }, 'object'],
  [{ type: 'object', additionalProperties: false }, '{} only'],
  [
    { type: 'object', properties: { 'a b': { type: 'boolean' }, c: params }, additionalProperties: false, required: ['c'] },
    '{ "a b"?: boolean, c: { name: string <= 8 } } only',
  ],
];
for (const [schema, text] of told)
  t.test(`given a schema, when it is told in one line, then ${text}`, async (t) => {
    t.equal(describeSchema(schema), text);
  });
