import { PassThrough } from 'node:stream';
import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import { createPeer } from '../../protocol/peer.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const mib = 1024 * 1024;
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** The supervisor's end of a child that reads nothing unless the test does. */
function openPeer(answerBytes = 0) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const clock = createFakeClock();
  const rules: string[] = [];
  const peer = createPeer({
    input,
    output,
    timers: clock,
    handle: async () => 'a'.repeat(answerBytes),
    onStray() {},
    onViolation: (rule) => void rules.push(rule),
    stalledAfterMs: 10_000,
  });
  const ask = (id: number, pad = 0) => `${JSON.stringify({ jsonrpc: '2.0', id, method: 'm', params: { pad: 'x'.repeat(pad) } })}\n`;
  return { input, output, clock, rules, peer, ask };
}

t.test('given a child that reads nothing, when callers ask more and more, then what waits is bounded and the rest refused', async (t) => {
  const { peer, clock } = openPeer();
  const outcomes = Array.from({ length: 2000 }, () =>
    peer.request('invoke', { payload: 'x'.repeat(100_000) }, { timeoutMs: 60_000 }).then(
      () => 'answered',
      ({ code, details }) => `${code} ${details.rule}`,
    ),
  );
  await settle();

  t.ok(peer.heldBytes() <= 1.5 * mib && peer.heldBytes() > mib, `${peer.heldBytes()} bytes`);
  await clock.advance(60_000);
  const refused = (await Promise.all(outcomes)).filter((outcome) => outcome === 'rate-limited unread-requests');
  t.equal(refused.length, 2000 - 15);
  t.equal(peer.inFlight().outgoing, 0, 'no promise is left pending');
});

t.test('given calls that wait in the queue, when they are given up, then their bytes are free again', async (t) => {
  const { peer, output } = openPeer();
  output.resume();
  const hanging = Array.from({ length: 64 }, () => peer.request('invoke', {}, { timeoutMs: 60_000 }));
  for (const call of hanging) call.catch(() => {});
  for (let round = 0; round < 3; round++) {
    const controller = new AbortController();
    const queued = Array.from({ length: 14 }, () =>
      peer.request('invoke', { payload: 'x'.repeat(100_000) }, { timeoutMs: 60_000, signal: controller.signal }).catch(({ code }) => code),
    );
    await settle();
    t.ok(peer.heldBytes() > mib);
    controller.abort();
    t.same(
      await Promise.all(queued),
      queued.map(() => 'cancelled'),
    );
    await eventually(() => peer.heldBytes() === 0);
  }
  peer.close(new HostError('plugin-crashed', 'over'));
});

t.test('given 64 large answers at once, when the child does not read, then what does not fit becomes a small error each', async (t) => {
  const { peer, input, output, ask, rules, clock } = openPeer(256 * 1024);
  input.write(Array.from({ length: 64 }, (_, id) => ask(id)).join(''));
  await eventually(() => peer.inFlight().incoming === 0 && peer.counters().sent === 64);

  t.ok(peer.mostHeldBytes() <= 4 * mib, `${peer.mostHeldBytes()} bytes`);
  let text = '';
  output.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  await eventually(() => text.split('\n').length === 65);
  const answers = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const refused = answers.filter(({ error }) => error?.data.code === 'rate-limited' && error.data.rule === 'unread-answers');
  t.equal(answers.filter(({ result }) => result?.length === 256 * 1024).length, 9);
  t.equal(refused.length, 64 - 9);
  t.same(
    answers.map(({ id }) => id).sort((a, b) => a - b),
    [...Array(64).keys()],
    'each ask is answered once',
  );
  await clock.advance(20_000);
  t.same(rules, [], 'it has read in time');
});

t.test('given the longest half line beside the most that may wait, when both are held, then they are under 4 MiB', async (t) => {
  const { peer, input, ask } = openPeer(256 * 1024);
  for (let n = 0; n < 14; n++) peer.request('invoke', { payload: 'x'.repeat(100_000) }, { timeoutMs: 60_000 }).catch(() => {});
  input.write(Array.from({ length: 64 }, (_, id) => ask(id)).join('') + ask(99, 2 * mib).slice(0, mib));
  await eventually(() => peer.inFlight().incoming === 0);

  t.ok(peer.mostHeldBytes() <= 4 * mib && peer.mostHeldBytes() > 2 * mib, `${peer.mostHeldBytes()} bytes`);
  peer.close(new HostError('plugin-crashed', 'over'));
  t.equal(peer.heldBytes(), 0);
});
