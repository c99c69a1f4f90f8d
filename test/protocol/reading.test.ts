import { PassThrough } from 'node:stream';
import t from 'tap';
import { createPeer } from '../../protocol/peer.ts';
import { readWithin } from '../../protocol/reading.ts';
import { createWorkMeter, type WorkShare } from '../../protocol/work.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

const small: WorkShare = { perTurn: 20_000, perSecond: 1_000_000, burst: 100_000 };
/** In small steps: what waits for the next turn of the event loop must come to set its timer. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let step = 0; step < ms; step += 10) await clock.advance(10);
}
const noise = `${JSON.stringify({ jsonrpc: '2.0', method: '$/noise' })}\n`;

function openPeer(share: WorkShare) {
  const input = new PassThrough({ highWaterMark: 16 });
  const clock = createFakeClock();
  const violations: string[] = [];
  const peer = createPeer({
    ...{ input, output: new PassThrough(), timers: clock, meter: createWorkMeter(clock, share) },
    handle: async () => null,
    onStray: () => {},
    onViolation: (rule) => violations.push(rule),
  });
  return { peer, input, clock, violations };
}

t.test(
  'given a child over its share, when it goes on writing, then it is not read until time has gone by, and nothing is lost',
  async (t) => {
    const { peer, input, clock, violations } = openPeer(small);
    const answer = peer.request('slow', {}, { timeoutMs: 60_000 });
    input.write(`${noise.repeat(1_000)}{"jsonrpc":"2.0","id":1,"result":"behind it all"}\n`);
    await clock.advance(0);
    const before = peer.counters().ignored_notifications;
    t.ok(before > 10 && before < 200, `${before} are read at first`);
    t.equal(input.isPaused(), true);

    await pass(clock, 100);
    const after = peer.counters().ignored_notifications;
    t.ok(after > before && after < 300, `${after} after a tenth of a second`);
    await pass(clock, 10_000);
    t.equal(await answer, 'behind it all');
    t.equal(peer.counters().ignored_notifications, 1_000);
    t.ok(peer.withheldMs() > 1_000, `not read for ${peer.withheldMs()} ms`);
    t.same(violations, []);
  },
);

t.test('given two children, when one floods, then the other is answered before the flood is read', async (t) => {
  const flooding = openPeer({ ...small, perSecond: 1e12, burst: 1e12 });
  const quiet = openPeer(small);
  flooding.input.write(noise.repeat(2_000));
  const answer = quiet.peer.request('echo', {}, { timeoutMs: 1_000 });
  quiet.input.write('{"jsonrpc":"2.0","id":1,"result":"quick"}\n');

  t.equal(await answer, 'quick');
  t.ok(flooding.peer.counters().ignored_notifications < 1_000);
});

t.test('given a child that broke a rule, when it goes on writing, then that is thrown away, within its share', async (t) => {
  const { input, clock, violations } = openPeer(small);
  input.write('{oops\n');
  await clock.advance(0);
  t.same(violations, ['invalid-json']);
  let taken = 0;
  const write = () => input.write(Buffer.alloc(50_000), () => taken++);
  for (let n = 0; n < 10; n++) write();
  await clock.advance(0);
  t.ok(taken < 10, `${taken} chunks at once`);
  await pass(clock, 5_000);
  t.equal(taken, 10);
});

t.test('given a stream that floods, when it is read within a share, then it waits, and all of it comes', async (t) => {
  const input = new PassThrough();
  const clock = createFakeClock();
  let bytes = 0;
  readWithin({
    ...{ input, timers: clock, meter: createWorkMeter(clock, small) },
    pieces: {
      push: (chunk) => {
        bytes += chunk.length;
      },
      next: () => null,
    },
  });
  for (let n = 0; n < 10; n++) input.write(Buffer.alloc(50_000));
  await clock.advance(0);
  t.ok(bytes < 500_000, `${bytes} bytes at once`);
  await pass(clock, 5_000);
  t.equal(bytes, 500_000);
});

t.test(
  'given a chunk that is much work, when it is done piece by piece, then others have their turn, and nothing is read meanwhile',
  async (t) => {
    const input = new PassThrough();
    const clock = createFakeClock();
    let pushed = 0;
    let done = 0;
    const perPiece = small.perTurn / 4;
    const next = (): number | null => {
      if (done === pushed * 100) return null;
      done++;
      return perPiece;
    };
    readWithin({
      ...{ input, timers: clock, meter: createWorkMeter(clock, { ...small, burst: 1e9 }) },
      pieces: { push: () => pushed++, next },
    });
    input.write('a hundred lines');
    await new Promise((resolve) => setImmediate(resolve));
    input.write('a hundred more');
    t.ok(done > 0 && done < 20, `${done} pieces at first`);
    t.equal(input.isPaused(), true);
    while (done < 100) {
      const before = done;
      await new Promise((resolve) => setImmediate(resolve));
      t.ok(done - before <= 5, 'in each turn its share');
      t.equal(pushed, done < 100 ? 1 : pushed);
    }
    while (done < 200) await new Promise((resolve) => setImmediate(resolve));
    t.equal(pushed, 2);
  },
);
