import t from 'tap';
import { createOutputLines } from '../../supervisor/output-lines.ts';

function open(bytesPerSecond = 1_000_000) {
  const lines: string[] = [];
  const time = { ms: 0 };
  const output = createOutputLines({
    lineBytes: 20,
    bytesPerSecond,
    linesPerSecond: 50,
    monotonicMs: () => time.ms,
    onLine: (text) => lines.push(text),
  });
  function push(chunk: Buffer): void {
    output.push(chunk);
    while (output.next() !== null);
  }
  return { lines, time, output: { ...output, push }, inPieces: output };
}

t.test('given a chunk of many lines, when it is pushed, then each is told when it is asked for, and has its price', async (t) => {
  const { lines, inPieces } = open();
  inPieces.push(Buffer.from('one\ntwo\nthree\nfo'));
  t.same(lines, []);
  const costs = [inPieces.next(), inPieces.next()];
  t.same(lines, ['one', 'two']);
  t.ok(costs.every((cost) => Number(cost) > 0));
  inPieces.push(Buffer.from('ur\n'));
  t.ok(inPieces.next());
  t.ok(inPieces.next());
  t.equal(inPieces.next(), null);
  t.same(lines, ['one', 'two', 'three', 'four']);
});

t.test('given lines that nobody asked for yet, when it ends, then all of them are told', async (t) => {
  const { lines, inPieces } = open();
  inPieces.push(Buffer.from('one\ntwo\nthr'));
  inPieces.end();
  t.same(lines, ['one', 'two', 'thr']);
});

t.test('given lines over the rate, when they are dropped, then the half line behind them is not', async (t) => {
  const { lines, output, time } = open();
  output.push(Buffer.from(`${'x\n'.repeat(60)}ha`));
  time.ms = 1000;
  output.push(Buffer.from('lf\n'));
  t.same(lines, [...Array(50).fill('x'), 'half']);
  t.equal(output.droppedBytes(), 20);
});

t.test('given output cut anywhere, when it is pushed, then lines come out whole, also across characters', async (t) => {
  const { lines, output } = open();
  const bytes = Buffer.from('eins\nzwölf\n\nlast');
  for (const byte of bytes) output.push(Buffer.from([byte]));
  output.end();
  t.same(lines, ['eins', 'zwölf', '', 'last']);
});

t.test('given a line that never ends, when it is pushed, then pieces are let go and no more than a line is held', async (t) => {
  const { lines, output } = open();
  for (let n = 0; n < 10; n++) output.push(Buffer.from('x'.repeat(15)));
  t.ok(lines.length >= 4);
  t.ok(lines.every((line) => line.length <= 20));
});

t.test(
  'given a flood, when it is over the rate, then the rest of the second is dropped and counted, and the next second is heard',
  async (t) => {
    const { lines, output, time } = open(100);
    for (let n = 0; n < 100; n++) output.push(Buffer.from('0123456789\n'));
    t.equal(lines.length, 9);
    t.equal(output.droppedBytes(), 91 * 11);
    time.ms = 1000;
    output.push(Buffer.from('again\n'));
    t.equal(lines.at(-1), 'again');
  },
);

t.test('given bytes that are not UTF-8, when they are printed, then they are shown as such and break nothing', async (t) => {
  const { lines, output } = open();
  output.push(Buffer.from([0x61, 0xff, 0x62, 0x0a]));
  t.same(lines, ['a\ufffdb']);
});

t.test('given a flood of line feeds, when there are more than a second may have, then the rest is dropped and counted', async (t) => {
  const { lines, output } = open();
  output.push(Buffer.alloc(10_000, 10));
  t.equal(lines.length, 50);
  t.equal(output.droppedBytes(), 9950);
});

t.test('given a flood that is dropped, when its last lines are asked for, then they are those that came last', async (t) => {
  const { output, lines } = open(100);
  for (let n = 0; n < 10_000; n++) output.push(Buffer.from(`line ${n}\n`));
  for (const part of ['the ca', 'use\nnever ', 'ended']) output.push(Buffer.from(part));

  t.ok(lines.length < 100);
  t.same(output.lastLines(3), ['line 9999', 'the cause', 'never ended']);
  output.push(Buffer.alloc(100_000, 'x'));
  t.same(output.lastLines(3), ['x'.repeat(20)]);
  output.push(Buffer.from('\nlast\n'));
  t.same(output.lastLines(3), ['last']);
});

t.test('given nothing printed, when its last lines are asked for, then there are none', async (t) => {
  t.same(open().output.lastLines(20), []);
});
