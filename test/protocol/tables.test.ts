import t from 'tap';
import { capabilities, capabilityNames, highestRisk, pluginTypes, typeRefusal } from '../../protocol/capabilities.ts';
import { createDeadlines } from '../../protocol/deadlines.ts';
import { asHostError, errorTable, fromRpcError, HostError, isErrorCode, toRpcError } from '../../protocol/errors.ts';
import { hostMethodNames, hostMethods } from '../../protocol/host-methods.ts';
import { createFakeClock } from '../support/fake-clock.ts';

t.test('given the capabilities, when they are counted by risk, then it is the closed list of nineteen', async (t) => {
  const byRisk = Map.groupBy(capabilityNames, (name) => capabilities[name].risk);
  t.same(
    [byRisk.get('read')?.sort(), byRisk.get('write')?.sort(), byRisk.get('host')?.sort()],
    [
      ['audit:read', 'kv:read', 'monitor:read', 'node:read', 'static:read', 'task:read'],
      ['kv:write', 'log:write', 'notify:send', 'worker:route'],
      [
        'ddns:admin',
        'http:egress',
        'monitor:admin',
        'network:apply',
        'network:plan',
        'node:admin',
        'static:write',
        'task:run',
        'tunnel:admin',
      ],
    ],
  );
  t.equal(highestRisk(['kv:read', 'kv:write']), 'write');
  t.equal(highestRisk([]), 'read');
});

for (const type of pluginTypes) {
  for (const name of capabilityNames) {
    const { risk } = capabilities[name];
    const allowed =
      type === 'worker'
        ? ['kv:read', 'static:read', 'worker:route'].includes(name)
        : type === 'system' || risk !== 'host' || name === 'http:egress';
    t.test(`given a ${type} plugin, when it wants ${name}, then it ${allowed ? 'may' : 'may not'}`, async (t) =>
      t.equal(typeRefusal(type, name) === null, allowed),
    );
  }
}

t.test(
  'given the error words, when their numbers are compared, then each is its own and outside the reserved range, but for JSON-RPC’s',
  async (t) => {
    const numbers = Object.values(errorTable).map(({ rpc }) => rpc);
    t.equal(new Set(numbers).size, numbers.length);
    t.same(numbers.filter((number) => number >= -32768 && number <= -32000).sort(), [-32601, -32602, -32603]);
    t.notOk(isErrorCode('constructor'));
  },
);

for (const code of Object.keys(errorTable).filter(isErrorCode)) {
  t.test(`given the error ${code}, when it goes over the wire, then it comes back the same`, async (t) => {
    const error = fromRpcError(toRpcError(new HostError(code, 'what happened', { hint: 'what to do' })));
    t.match(error, { code, message: 'what happened', details: { hint: 'what to do' } });
  });
}

t.test('given what was not foreseen, when it leaves the process, then its text stays behind', async (t) => {
  t.same(toRpcError(new TypeError('secret')), { code: -32603, message: 'internal error', data: { code: 'internal' } });
  t.equal(asHostError('x').code, 'internal');
});

for (const [name, error, expected] of [
  ['nothing', null, 'internal'],
  ['an unknown word', { code: 5, message: 'x', data: { code: 'made-up' } }, 'internal'],
  ['only a number', { code: -31002, message: 'slow down' }, 'rate-limited'],
  ['a word that is an object', { code: 1, message: 7, data: { code: {} } }, 'internal'],
  ['a very long message', { code: 1, message: 'x'.repeat(1e6) }, 'internal'],
] as const) {
  t.test(`given an answer whose error is ${name}, when it is read, then it is ${expected} and bounded`, async (t) => {
    const read = fromRpcError(error);
    t.equal(read.code, expected);
    t.ok(read.message.length <= 1000);
  });
}

t.test('given each host method, when its limits are read, then it has a deadline, a doc and a capability of the list', async (t) => {
  for (const name of hostMethodNames)
    t.ok(hostMethods[name].timeoutMs <= 30_000 && hostMethods[name].doc.length > 20 && hostMethods[name].capability in capabilities, name);
});

t.test('given many deadlines, when time passes, then each expires in its turn on one timer, and removed ones never', async (t) => {
  const clock = createFakeClock();
  const expired: string[] = [];
  const deadlines = createDeadlines<string>(clock, (key) => expired.push(key));
  deadlines.add('slow', 500);
  deadlines.add('fast', 100);
  deadlines.add('met', 100);
  deadlines.remove('met');
  t.equal(clock.pending(), 1);
  await clock.advance(100);
  t.same(expired, ['fast']);
  await clock.advance(400);
  t.same([expired, clock.pending(), deadlines.size()], [['fast', 'slow'], 0, 0]);
  deadlines.add('again', 50);
  deadlines.remove('again');
  t.equal(clock.pending(), 0, 'no idle timer keeps a process');
});
