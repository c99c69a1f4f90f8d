import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import type { HandleRequest } from '../../protocol/incoming.ts';
import { createPeer } from '../../protocol/peer.ts';
import { childShare, costs, createWorkMeter, openShare, type WorkShare } from '../../protocol/work.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { linkPeers } from '../support/linked-peers.ts';

const echo = async (_method: string, params: unknown) => params;
const never = () => new Promise<unknown>(() => {});
const timeoutMs = 30_000;
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A peer whose other end is the test itself, line by line. */
function openPeer(handle: HandleRequest = echo, options: { stalledAfterMs?: number; highWaterMark?: number; share?: WorkShare } = {}) {
  const input = new PassThrough();
  const output = new PassThrough({ highWaterMark: options.highWaterMark ?? 16 * 1024 * 1024 });
  const clock = createFakeClock();
  const violations: string[] = [];
  const peer = createPeer({
    input,
    output,
    timers: clock,
    handle,
    onStray: () => {},
    onViolation: (rule) => violations.push(rule),
    ...(options.share ? { meter: createWorkMeter(clock, options.share) } : {}),
    ...(options.stalledAfterMs ? { stalledAfterMs: options.stalledAfterMs } : {}),
  });
  function sent() {
    let text = '';
    for (let chunk = output.read(); chunk !== null; chunk = output.read()) text += chunk;
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }
  const say = async (...messages: unknown[]) => {
    input.write(messages.map((message) => `${typeof message === 'string' ? message : JSON.stringify(message)}\n`).join(''));
    await settle();
    await settle();
  };
  return { peer, input, output, clock, violations, sent, say };
}

t.test('given two peers, when each asks the other at once, then both get their answers', async (t) => {
  const { parent, child } = linkPeers({ parent: echo, child: echo });
  t.same(await Promise.all([parent.request('a', { x: 1 }, { timeoutMs }), child.request('b', { y: 2 }, { timeoutMs })]), [
    { x: 1 },
    { y: 2 },
  ]);
});

t.test('given both directions filled with 64 calls that each ask back, when they run, then all are answered', async (t) => {
  const peers = linkPeers({
    parent: async (_method, params) => params,
    child: async (method, params) => (method === 'nested' ? peers.child.request('ask', params, { timeoutMs }) : params),
  });
  const big = 'x'.repeat(5_000); // all of them together fit into what may wait for a child
  const calls = Array.from({ length: 200 }, (_, n) => peers.parent.request('nested', { n, big }, { timeoutMs }));
  const asks = Array.from({ length: 200 }, (_, n) => peers.child.request('ask', { n, big }, { timeoutMs }));
  const answers = (await Promise.all([...calls, ...asks])) as { n: number }[];
  t.same(
    answers.map(({ n }) => n),
    [...Array(200).keys(), ...Array(200).keys()],
  );
  t.same(peers.violations, []);
});

t.test(
  'given a handler that throws, when its request is answered, then foreseen errors keep their word and others lose their text',
  async (t) => {
    const { child } = linkPeers({
      parent: async (method) => {
        if (method === 'known') throw new HostError('conflict', 'the entry changed', { revision: 4 });
        throw new Error('secret path /etc/shadow');
      },
      child: echo,
    });
    await t.rejects(child.request('known', {}, { timeoutMs }), {
      code: 'conflict',
      message: 'the entry changed',
      details: { revision: 4 },
    });
    await t.rejects(child.request('other', {}, { timeoutMs }), { code: 'internal', message: 'internal error' });
  },
);

t.test('given no answer in time, when it comes late, then the request has failed and the late answer is counted and dropped', async (t) => {
  const { peer, clock, say, sent, violations } = openPeer();
  const asked = peer.request('slow', {}, { timeoutMs: 500 });
  const failed = t.rejects(asked, { code: 'deadline-exceeded' });
  await settle();
  await clock.advance(500);
  await failed;
  t.match(sent(), [
    { id: 1, method: 'slow' },
    { method: '$/cancelRequest', params: { id: 1 } },
  ]);
  await say({ jsonrpc: '2.0', id: 1, result: 'late' });
  t.equal(peer.counters().late_answers, 1);
  t.same(violations, []);
  await say({ jsonrpc: '2.0', id: 1, result: 'again' });
  t.same(violations, ['unknown-answer']);
});

t.test(
  'given a caller that gives up, when its signal is aborted, then the other end is told and its handler’s signal is aborted',
  async (t) => {
    const started = Promise.withResolvers<AbortSignal>();
    const { parent } = linkPeers({
      parent: echo,
      child: (_method, _params, context) => {
        started.resolve(context.signal);
        return never();
      },
    });
    const controller = new AbortController();
    const failed = t.rejects(parent.request('work', {}, { timeoutMs, signal: controller.signal }), { code: 'cancelled' });
    const signal = await started.promise;
    const aborted = once(signal, 'abort');
    controller.abort();
    await Promise.all([failed, aborted]);
    t.equal(signal.reason.code, 'cancelled');
  },
);

t.test('given a handler that reports progress, when it does, then the caller hears it before the answer', async (t) => {
  const { parent } = linkPeers({
    parent: echo,
    child: async (_method, _params, context) => {
      context.progress(0.5);
      return 'done';
    },
  });
  const heard: unknown[] = [];
  const answer = await parent.request('work', {}, { timeoutMs, onProgress: (value) => heard.push(value) });
  t.same([heard, answer], [[0.5], 'done']);
});

t.test('given progress without a value, when it comes, then null is heard, whoever left it out', async (t) => {
  const { peer, say } = openPeer();
  const heard: unknown[] = [];
  void peer.request('work', {}, { timeoutMs, onProgress: (value) => heard.push(value) });
  await say({ jsonrpc: '2.0', method: '$/progress', params: { id: 1 } });
  t.same(heard, [null]);

  const told = openPeer(async (_method, _params, context) => context.progress(undefined));
  await told.say({ jsonrpc: '2.0', id: 1, method: 'work', params: {} });
  t.same(told.sent()[0], { jsonrpc: '2.0', method: '$/progress', params: { id: 1, value: null } });
});

t.test('given a listener of progress that throws, when progress comes, then its own request fails, and the others go on', async (t) => {
  const { peer, say, sent } = openPeer();
  const listening = peer.request(
    'listening',
    {},
    {
      timeoutMs,
      onProgress: () => {
        throw new Error('not foreseen');
      },
    },
  );
  const other = peer.request('other', {}, { timeoutMs });
  const refused = t.rejects(listening, { code: 'internal' });
  await say({ jsonrpc: '2.0', method: '$/progress', params: { id: 1, value: 1 } }, { jsonrpc: '2.0', id: 2, result: 'fine' });

  await refused;
  t.equal(await other, 'fine');
  t.match(sent().at(-1), { method: '$/cancelRequest', params: { id: 1 } });
});

t.test('given progress, when somebody listens, then telling it is charged as well; when nobody does, only reading it is', async (t) => {
  const spent: Record<string, number> = {};
  for (const listens of [false, true]) {
    const input = new PassThrough();
    const clock = createFakeClock();
    const meter = createWorkMeter(clock, openShare);
    const spend = meter.spend;
    let sum = 0;
    meter.spend = (work) => {
      sum += work;
      spend(work);
    };
    const peer = createPeer({
      input,
      output: new PassThrough(),
      timers: clock,
      meter,
      handle: echo,
      onStray: () => {},
      onViolation: (rule) => t.fail(rule),
    });
    void peer.request('work', {}, { timeoutMs, ...(listens ? { onProgress: () => {} } : {}) });
    input.write(`${JSON.stringify({ jsonrpc: '2.0', method: '$/progress', params: { id: 1, value: 'x'.repeat(10_000) } })}\n`);
    await settle();
    spent[String(listens)] = sum - costs.chunk;
  }
  t.equal(spent.true, 2 * (spent.false ?? 0) + costs.event);
});

t.test('given 64 requests in flight, when more come, then each is refused at once, not run, and 100 in a row end the child', async (t) => {
  let ran = 0;
  const { peer, say, sent, violations } = openPeer(() => {
    ran++;
    return never();
  });
  const ask = (from: number, count: number) => Array.from({ length: count }, (_, n) => ({ jsonrpc: '2.0', id: from + n, method: 'wait' }));
  await say(...ask(1, 64));
  t.same([ran, sent()], [64, []]);
  await say(...ask(65, 99));
  const refusals = sent();
  t.equal(refusals.length, 99);
  t.match(refusals[0], { id: 65, error: { code: -31002, data: { code: 'rate-limited', rule: 'in-flight' } } });
  t.same([ran, violations, peer.counters().refused_in_flight], [64, [], 99]);
  await say(...ask(200, 1));
  t.same(violations, ['in-flight-exceeded']);
});

t.test('given 64 requests in flight, when we ask more, then they wait for a place and go out in order', async (t) => {
  const { peer, say, sent } = openPeer();
  const all = Array.from({ length: 66 }, (_, n) => peer.request('m', { n }, { timeoutMs }));
  await settle();
  t.equal(sent().length, 64);
  await say({ jsonrpc: '2.0', id: 1, result: 'a' }, { jsonrpc: '2.0', id: 2, result: 'b' });
  t.same(
    sent().map(({ id }) => id),
    [65, 66],
  );
  t.same(await Promise.all(all.slice(0, 2)), ['a', 'b']);
  peer.close(new HostError('plugin-crashed', 'gone'));
  const rest = await Promise.allSettled(all.slice(2));
  t.ok(
    rest.every((end) => end.status === 'rejected' && end.reason.code === 'plugin-crashed'),
    'no promise is left pending',
  );
});

t.test('given a full queue, when one more is asked, then it is refused as rate-limited', async (t) => {
  const { peer } = openPeer();
  const waiting = Array.from({ length: 64 + 1024 }, () => peer.request('m', {}, { timeoutMs }));
  await t.rejects(peer.request('m', {}, { timeoutMs }), { code: 'rate-limited' });
  peer.close(new HostError('plugin-crashed', 'gone'));
  await Promise.allSettled(waiting);
});

t.test(
  'given a request or an answer over the cap, when it is sent, then the caller gets payload-too-large and nothing else breaks',
  async (t) => {
    const big = 'x'.repeat(1024 * 1024);
    const { parent, child } = linkPeers({ parent: async () => big, child: echo });
    await t.rejects(parent.request('m', { big }, { timeoutMs }), { code: 'payload-too-large' });
    await t.rejects(child.request('m', {}, { timeoutMs }), { code: 'payload-too-large' });
    t.same(await parent.request('m', { small: 1 }, { timeoutMs }), { small: 1 });
  },
);

const broken: [name: string, lines: unknown[], rule: string][] = [
  ['another version', [{ jsonrpc: '1.0', id: 1, method: 'm' }], 'not-json-rpc'],
  ['no version', [{ id: 1, method: 'm' }], 'not-json-rpc'],
  ['a null id', [{ jsonrpc: '2.0', id: null, method: 'm' }], 'invalid-id'],
  ['an id beyond 2^53', ['{"jsonrpc":"2.0","id":9007199254740993,"method":"m"}'], 'invalid-id'],
  ['a fractional id', [{ jsonrpc: '2.0', id: 1.5, method: 'm' }], 'invalid-id'],
  ['a long id', [{ jsonrpc: '2.0', id: 'x'.repeat(65), method: 'm' }], 'invalid-id'],
  ['a method that is a number', [{ jsonrpc: '2.0', id: 1, method: 7 }], 'invalid-method'],
  ['params that are a string', [{ jsonrpc: '2.0', id: 1, method: 'm', params: 'x' }], 'invalid-params-shape'],
  ['an answer with result and error', [{ jsonrpc: '2.0', id: 1, result: 1, error: {} }], 'invalid-response'],
  ['an answer with neither', [{ jsonrpc: '2.0', id: 1 }], 'invalid-response'],
  ['an answer to nothing', [{ jsonrpc: '2.0', id: 99, result: 1 }], 'unknown-answer'],
  ['an answer with a string id', [{ jsonrpc: '2.0', id: '1', result: 1 }], 'unknown-answer'],
  [
    'a duplicate id in flight',
    [
      { jsonrpc: '2.0', id: 1, method: 'wait' },
      { jsonrpc: '2.0', id: 1, method: 'wait' },
    ],
    'duplicate-id',
  ],
  ['a request as a notification', [{ jsonrpc: '2.0', method: 'kv.get', params: {} }], 'request-without-id'],
  ['a batch', ['[{"jsonrpc":"2.0","id":1,"method":"m"}]'], 'batch'],
  ['a duplicate key', ['{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}'], 'duplicate-key'],
];
for (const [name, lines, rule] of broken) {
  t.test(`given ${name}, when it is read, then it is the violation ${rule} and nothing more is read`, async (t) => {
    let ran = 0;
    const { say, violations } = openPeer(() => {
      ran++;
      return never();
    });
    await say(...lines);
    const before = ran;
    await say({ jsonrpc: '2.0', id: 50, method: 'm' });
    t.same(violations, [rule]);
    t.equal(ran, before);
  });
}

t.test('given unknown notifications of the protocol’s own kind, when they come, then they are counted and ignored', async (t) => {
  const { peer, say, violations } = openPeer();
  await say(
    { jsonrpc: '2.0', method: '$/later' },
    { jsonrpc: '2.0', method: '$/cancelRequest', params: { id: { a: 1 } } },
    { jsonrpc: '2.0', method: '$/progress' },
  );
  t.same([peer.counters().ignored_notifications, violations], [1, []]);
});

t.test('given a flood of messages in one chunk, when it is read, then other work gets its turn in between', async (t) => {
  let ran = 0;
  const { input } = openPeer(
    () => {
      ran++;
      return never();
    },
    { share: childShare },
  );
  const line = `${JSON.stringify({ jsonrpc: '2.0', method: '$/x' })}\n`;
  input.write(`${line.repeat(2000)}${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'last' })}\n`);
  let turns = 0;
  while (ran === 0) {
    await settle();
    turns++;
  }
  t.ok(turns >= 8, `${turns} turns`);
});

t.test('given a child that does not read, when over a mebibyte is unsent, then it is not read, and it ends at its deadline', async (t) => {
  const { input, clock, say, violations } = openPeer(async () => 'x'.repeat(300_000), { stalledAfterMs: 1000, highWaterMark: 1 });
  await say(...Array.from({ length: 8 }, (_, n) => ({ jsonrpc: '2.0', id: n + 1, method: 'big' })));
  input.write(`${JSON.stringify({ jsonrpc: '2.0', id: 100, method: 'big' })}\n`);
  await settle();
  t.same(violations, []);
  await clock.advance(1000);
  t.same(violations, ['write-stalled']);
});
