import fc from 'fast-check';
import t from 'tap';
import { createFramer, encodeLine, type Frame } from '../../protocol/framing.ts';
import { costs } from '../../protocol/work.ts';

function pushAll(framer: ReturnType<typeof createFramer>, chunk: Buffer): Frame[] {
  framer.push(chunk);
  const frames: Frame[] = [];
  for (let frame = framer.next(); frame; frame = framer.next()) if (frame.kind !== 'unfinished') frames.push(frame);
  return frames;
}
const feed = (chunks: readonly Buffer[], maxLineBytes?: number): Frame[] => {
  const framer = createFramer(maxLineBytes);
  const frames = chunks.flatMap((chunk) => pushAll(framer, chunk));
  const last = framer.end();
  return last ? [...frames, last] : frames;
};
const text = (...parts: string[]) => parts.map((part) => Buffer.from(part));

t.test('given messages cut anywhere, when the pieces are pushed, then the same messages come out', async (t) => {
  const messages = [{ a: 1 }, { text: 'grün → \u{1f600}' }, { deep: { list: [1, 2, { x: null }] } }, {}];
  const bytes = Buffer.from(messages.map((message) => encodeLine(message)).join(''));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const frames = feed(at.slice(1).map((end, i) => bytes.subarray(at[i], end)));
      return JSON.stringify(frames.map((frame) => (frame.kind === 'message' ? frame.value : frame))) === JSON.stringify(messages);
    }),
    { numRuns: 500, seed: 3 },
  );
  t.pass('500 ways to cut');
});

const rows: [name: string, chunks: Buffer[], expected: object[]][] = [
  [
    'a stray print',
    text('hello\n{"a":1}\n'),
    [
      { kind: 'stray', text: 'hello' },
      { kind: 'message', value: { a: 1 } },
    ],
  ],
  ['a blank line', text('\n{"a":1}\n'), [{ kind: 'stray', text: '' }, { kind: 'message' }]],
  ['a batch', text('[{"a":1}]\n{"a":1}\n'), [{ kind: 'violation', rule: 'batch' }]],
  ['garbage that begins like a message', text('{oops\n{"a":1}\n'), [{ kind: 'violation', rule: 'invalid-json' }]],
  ['a byte order mark', text('\ufeff{"a":1}\n'), [{ kind: 'violation', rule: 'byte-order-mark' }]],
  ['half a line at the end', text('{"a":'), [{ kind: 'violation', rule: 'partial-line-at-end' }]],
  ['half a stray print at the end', text('bye'), [{ kind: 'stray', text: 'bye' }]],
  ['a carriage return before the line feed', text('{"a":1}\r\n'), [{ kind: 'message', value: { a: 1 } }]],
];
for (const [name, chunks, expected] of rows) {
  t.test(`given ${name}, when it is pushed, then the frames say so`, async (t) => {
    const frames = feed(chunks);
    t.match(frames, expected);
    t.equal(frames.length, expected.length);
  });
}

t.test('given a line of exactly the cap and one of a byte more, when pushed, then only the second is refused', async (t) => {
  const line = (bytes: number) => Buffer.from(`{"a":"${'x'.repeat(bytes - 8)}"}\n`);
  t.match(feed([line(100)], 100), [{ kind: 'message', bytes: 100 }]);
  t.match(feed([line(101)], 100), [{ kind: 'violation', rule: 'line-too-long' }]);
});

t.test('given a line that never ends, when it passes the cap, then it is refused at once and no more of it is held', async (t) => {
  const framer = createFramer(1000);
  const chunk = Buffer.alloc(400, 0x7b);
  t.same([...pushAll(framer, chunk), ...pushAll(framer, chunk)], []);
  t.equal(framer.heldBytes(), 800);
  t.match(pushAll(framer, chunk), [{ kind: 'violation', rule: 'line-too-long' }]);
  t.equal(framer.heldBytes(), 0);
  t.same(pushAll(framer, Buffer.from('{"a":1}\n')), [], 'nothing is read after a violation');
});

t.test('given a stray line longer than what is kept of it, when it is pushed, then only its beginning is kept', async (t) => {
  const [frame] = feed(text(`${'z'.repeat(5000)}\n`));
  t.equal(frame?.kind === 'stray' && frame.text.length, 200);
});

t.test('given a message over the cap in UTF-8 but not in UTF-16, when it is encoded, then it is refused', async (t) => {
  t.equal(encodeLine({ a: 'ü'.repeat(60) }, 100), null);
  t.equal(encodeLine({ a: 'u'.repeat(60) }, 100), `{"a":"${'u'.repeat(60)}"}\n`);
});

/** What reading one message costs by a clock that goes on so far at each look, without the read itself; the message says the same. */
function costOfLine(line: string, stepMs = 1_000): number {
  let now = 0;
  const framer = createFramer(undefined, undefined, true, () => {
    now += stepMs;
    return now;
  });
  framer.push(Buffer.from(`${line}\n`));
  framer.takeWork();
  let [frame, work] = [framer.next(), framer.takeWork()];
  for (; frame?.kind === 'unfinished'; work += framer.takeWork()) frame = framer.next();
  work += framer.takeWork();
  return frame?.kind === 'message' && frame.work === work ? work : Number.NaN;
}
const request = (params: unknown) => JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'kv.put', params });
const value = (json: string) => `{"jsonrpc":"2.0","method":"$/progress","params":{"id":1,"value":${json}}}`;

// Measured, the dearest input of each kind costs this much more than the same bytes of plain text in one string.
const dearer: [name: string, json: string, times: number][] = [
  ['escapes', `"${'\\n'.repeat(15_000)}"`, 4],
  ['digits', `0.${'1'.repeat(30_000)}`, 4],
  ['spaces', `${' '.repeat(30_000)}1`, 4],
  ['characters that are not ASCII', `"${'é'.repeat(15_000)}"`, 1.9],
  ['keys', `{${Array.from({ length: 900 }, (_, n) => `"k${n}":1`).join()}}`, 60],
  ['keys with escapes', `{${Array.from({ length: 900 }, (_, n) => `"\\\\${n}":1`).join()}}`, 150],
  ['short strings', `[${Array.from({ length: 1900 }, (_, n) => `"${n}"`).join()}]`, 20],
];
for (const [name, json, times] of dearer)
  t.test(`given ${name}, when they are read, then they are charged for what they cost`, async (t) => {
    const plain = costOfLine(value(`"${'x'.repeat(Buffer.byteLength(json))}"`));
    const least = plain * times;
    const work = costOfLine(value(json));
    t.ok(work >= least, `${work}, at least ${least}`);
  });

t.test('given an answer of many keys, when V8 knows them and it takes less than the price, then it is charged what it took', async (t) => {
  const rows = value(JSON.stringify(Array.from({ length: 200 }, (_, n) => ({ name: `row ${n}`, size: n }))));
  const [least, quick, slow, slower] = [0, 0.02, 1_000, 2_000].map((stepMs) => costOfLine(rows, stepMs)) as [
    number,
    number,
    number,
    number,
  ];
  t.equal(quick - least, 40_000, 'twice, because what was made has to be collected');
  t.equal(slower, slow, 'a slow machine is not charged to the plugin');
  t.ok(slow - least > 300_000);
});

t.test('given the host calls of a plugin that behaves well, when they are read, then none of that is charged to it', async (t) => {
  for (const bytes of [100, 4096, 65_536]) {
    const line = request({ key: 'colour', value: 'v'.repeat(bytes) });
    const least = costs.message + line.length * costs.byte + line.split(/[{,:]/).length * costs.value + costs.request;
    const work = costOfLine(line) + costs.request;
    t.ok(work < least * 1.03, `${work}, at least ${least}`);
  }
});

t.test('given a line of very many values, when it is read in pieces, then the message says what all of them cost', async (t) => {
  t.ok(costOfLine(value(JSON.stringify(Array(5000).fill(0)))) > 5000 * costs.built);
});
