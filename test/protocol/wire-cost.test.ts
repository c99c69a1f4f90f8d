import { PassThrough } from 'node:stream';
import t from 'tap';
import type { HandleRequest } from '../../protocol/incoming.ts';
import { createPeer } from '../../protocol/peer.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const inFlight = 64;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A peer over streams that count what is written, on a clock that counts the timers it makes. */
function openCounted(child: boolean, handle: HandleRequest = async (_method, params) => params) {
  const input = new PassThrough();
  const output = new PassThrough();
  const count = { writes: 0, timers: 0, signals: 0 };
  const write = output.write.bind(output);
  output.write = ((...given: Parameters<typeof write>) => {
    count.writes++;
    return write(...given);
  }) as typeof output.write;
  const clock = createFakeClock();
  const peer = createPeer({
    ...{ input, output, child },
    timers: {
      monotonicMs: clock.monotonicMs,
      timer(delayMs, run) {
        count.timers++;
        return { ...clock.timer(delayMs, run), rest: () => {}, wake: () => {} };
      },
    },
    handle,
    onStray: () => {},
    onViolation: (rule) => t.fail(rule),
  });
  return { peer, input, output, count };
}

// Costs are counted, not timed: what the benches measure must not creep back in one by one.
t.test(
  'given 64 host calls in one chunk, when they are answered, then the answers leave in one write, and no timer or signal is made',
  async (t) => {
    const { input, count } = openCounted(false);
    const made = AbortController;
    globalThis.AbortController = class extends made {
      constructor() {
        super();
        count.signals++;
      }
    };
    t.teardown(() => {
      globalThis.AbortController = made;
    });

    const lines = Array.from(
      { length: inFlight },
      (_, id) => `${JSON.stringify({ jsonrpc: '2.0', id, method: 'kv.get', params: { key: 'a' } })}\n`,
    );
    input.write(lines.join(''));
    await turn();
    await turn();

    t.same(count, { writes: 1, timers: 0, signals: 0 });
  },
);

t.test(
  'given 64 requests of one turn, when they are made and answered again and again, then a round costs one write and no timer',
  async (t) => {
    const { peer, input, count } = openCounted(true);
    let id = 1;
    for (let round = 0; round < 5; round++) {
      const asked = Array.from({ length: inFlight }, () => peer.request('kv.get', { key: 'a' }, { timeoutMs: 30_000 }));
      await turn();
      input.write(asked.map(() => `${JSON.stringify({ jsonrpc: '2.0', id: id++, result: null })}\n`).join(''));
      await Promise.all(asked);
    }

    t.same(count, { writes: 5, timers: 1, signals: 0 });
  },
);

t.test(
  'given 64 host calls in one chunk whose answers are at hand, when it is read, then they leave in one write before anything else runs',
  async (t) => {
    const { input, count } = openCounted(false, (_method, params) => params);
    let ticks = 0;
    const lines = Array.from({ length: inFlight }, (_, id) => `${JSON.stringify({ jsonrpc: '2.0', id, method: 'kv.get', params: {} })}\n`);

    process.nextTick(() => ticks++);
    input.emit('data', Buffer.from(lines.join('')));

    t.same([count.writes, ticks], [1, 0]);
    await turn();
    t.equal(count.writes, 1);
  },
);

t.test('given an answer at hand and one that is promised, when both are asked in one chunk, then both leave', async (t) => {
  const { input, output, count } = openCounted(false, (method, params) => (method === 'slow' ? turn().then(() => params) : params));
  const lines = ['slow', 'fast'].map((method, id) => `${JSON.stringify({ jsonrpc: '2.0', id, method, params: {} })}\n`);

  input.emit('data', Buffer.from(lines.join('')));
  await turn();
  await turn();

  t.equal(count.writes, 2);
  const answers = [output.read(), output.read()] as Buffer[]; // one for each write
  t.same(
    answers.map((line) => (JSON.parse(line.toString()) as { id: number }).id),
    [1, 0],
  );
});
