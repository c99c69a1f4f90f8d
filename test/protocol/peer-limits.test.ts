import { PassThrough } from 'node:stream';
import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import { encodeLine } from '../../protocol/framing.ts';
import { createPeer } from '../../protocol/peer.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { createServer } from '../../runner-child/serve.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { linkPeers } from '../support/linked-peers.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const nest = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
};

t.test(
  'given a payload as deep as the API takes one, when it is sent on to the child, then the child does not see a violation',
  async (t) => {
    const payload = nest(63);
    const body = Buffer.from(JSON.stringify({ service: 's', method: 'm', payload }));
    t.equal(parseStrict(body).ok, true, 'the API takes it');
    const { parent, violations } = linkPeers({ parent: async () => null, child: async () => null });
    const answer = parent.request('invoke', { service: 's', method: 'm', payload, timeout_ms: 1 }, { timeoutMs: 1000 }).catch(() => null);
    await turn();
    await turn();
    t.same(violations, []);
    parent.close(new HostError('cancelled', 'over'));
    await answer;
  },
);

t.test('given 64 slow calls under way, when the child is pinged, then the ping reaches it', async (t) => {
  const clock = createFakeClock();
  const seen: string[] = [];
  const { parent } = linkPeers({
    parent: async () => null,
    clock,
    child: (method) => {
      seen.push(method);
      return method === 'ping' ? Promise.resolve({}) : new Promise(() => {});
    },
  });
  const slow = Array.from({ length: 64 }, () => parent.request('invoke', {}, { timeoutMs: 60_000 }).catch(() => null));
  const ping = parent.request('ping', {}, { timeoutMs: 3_000, vital: true }).then(
    () => 'pong',
    (error: HostError) => error.code,
  );
  await turn();
  await turn();
  await turn();
  t.ok(seen.includes('ping'), 'the child has seen it');
  await clock.advance(3_000);
  t.equal(await ping, 'pong');
  parent.close(new HostError('cancelled', 'over'));
  await Promise.all(slow);
});

t.test('given 64 calls that the caller gave up and the plugin did not, when the child is pinged, then it answers', async (t) => {
  const { parent } = linkPeers({
    parent: async () => null,
    child: (method) => (method === 'ping' ? Promise.resolve({}) : new Promise(() => {})),
  });
  const gone = new AbortController();
  const slow = Array.from({ length: 64 }, () => parent.request('invoke', {}, { timeoutMs: 60_000, signal: gone.signal }).catch(() => null));
  await turn();
  await turn();
  gone.abort();
  await Promise.all(slow);
  const ping = await parent.request('ping', {}, { timeoutMs: 3_000, vital: true }).then(
    () => 'pong',
    (error: HostError) => error.code,
  );
  t.equal(ping, 'pong');
  parent.close(new HostError('cancelled', 'over'));
});

t.test(
  'given callers that came and went, when 100 more call a plugin whose old calls hang, then the child is not ended for it',
  async (t) => {
    const { parent, violations } = linkPeers({ parent: async () => null, child: () => new Promise(() => {}) });
    const gone = new AbortController();
    const first = Array.from({ length: 64 }, () =>
      parent.request('invoke', {}, { timeoutMs: 60_000, signal: gone.signal }).catch(() => null),
    );
    await turn();
    await turn();
    gone.abort();
    await Promise.all(first);
    for (let n = 0; n < 100; n++) await parent.request('invoke', {}, { timeoutMs: 200 }).catch(() => null);
    t.same(violations, []);
    parent.close(new HostError('cancelled', 'over'));
  },
);

t.test('given queued requests that were cancelled, when others ask, then there is room for them', async (t) => {
  const { parent } = linkPeers({ parent: async () => null, child: () => new Promise(() => {}) });
  const gone = new AbortController();
  const all = Array.from({ length: 64 }, () => parent.request('invoke', {}, { timeoutMs: 60_000 }).catch(() => null));
  const cancelled = Array.from({ length: 1024 }, () =>
    parent.request('invoke', { payload: 'x' }, { timeoutMs: 60_000, signal: gone.signal }).catch(() => null),
  );
  await turn();
  gone.abort();
  await Promise.all(cancelled);
  const late = parent.request('invoke', {}, { timeoutMs: 60_000 }).then(
    () => 'answered',
    (error: HostError) => error.code,
  );
  await turn();
  parent.close(new HostError('cancelled', 'over'));
  t.not(await late, 'rate-limited');
  await Promise.all(all);
});

t.test('given a child that answers initialize and asks in one write, when both are read, then the ask finds it ready', async (t) => {
  const input = new PassThrough();
  let ready = false;
  const asked: boolean[] = [];
  const peer = createPeer({
    input,
    output: new PassThrough(),
    timers: createFakeClock(),
    handle: async () => void asked.push(ready),
    onStray: () => {},
    onViolation: () => {},
  });
  const onAnswer = () => {
    ready = true;
  };
  void peer.request('initialize', {}, { timeoutMs: 1000, onAnswer });
  await turn();
  input.write('{"jsonrpc":"2.0","id":1,"result":{"protocol":1}}\n{"jsonrpc":"2.0","id":7,"method":"kv.get","params":{"key":"a"}}\n');
  await turn();
  await turn();
  t.same(asked, [true]);
});

t.test('given an error text cut in the middle of an emoji, when the runner sends it, then the supervisor can read it', async (t) => {
  const serve = createServer({
    importArtifact: async () => ({
      default: {
        services: {
          s: {
            m: () => {
              throw new Error(`${'x'.repeat(999)}😀`);
            },
          },
        },
      },
    }),
    request: async () => null,
    timers: createFakeClock(),
    afterAnswer: () => {},
    fail: () => {},
    report: () => {},
  });
  const context = { id: 1, signal: new AbortController().signal, progress: () => {} };
  await serve(
    'initialize',
    { protocol: 1, plugin: {}, config: {}, grant: {}, services: { s: ['m'] }, limits: { call_timeout_ms: 1 } },
    context,
  );
  const error = await serve('invoke', { service: 's', method: 'm', payload: null, timeout_ms: 1 }, context).catch(
    (thrown: Error) => thrown,
  );
  const line = encodeLine({ jsonrpc: '2.0', id: 1, error: { code: 1, message: (error as Error).message } }) ?? '';
  t.same(parseStrict(Buffer.from(line.trimEnd())), { ok: true, value: JSON.parse(line) });
});

for (const [what, value] of [
  ['a BigInt', { n: 1n }],
  ['a function', () => 1],
] as const)
  t.test(`given a method that returns ${what}, when it is called, then the call fails and nothing else does`, async (t) => {
    const faults: unknown[] = [];
    const note = (reason: unknown) => void faults.push(reason);
    process.on('unhandledRejection', note);
    t.teardown(() => process.off('unhandledRejection', note));
    const { parent, violations } = linkPeers({ parent: async () => null, child: async () => value });
    const answer = parent.request('invoke', {}, { timeoutMs: 300 }).then(
      () => 'answered',
      (error: HostError) => error.code,
    );
    t.equal(await answer, 'internal');
    t.same(violations, []);
    t.same(faults, []);
    parent.close(new HostError('cancelled', 'over'));
  });
