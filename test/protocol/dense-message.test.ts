import t from 'tap';
import { tooManyValues } from '../../protocol/dense-message.ts';
import { createFramer, type Frame } from '../../protocol/framing.ts';
import { hostMethodNames, hostMethods } from '../../protocol/host-methods.ts';

const many = Array.from({ length: 5_000 }, (_, n) => ({ n }));

function readAll(text: string): { frames: Frame[]; pieces: number } {
  const framer = createFramer();
  const frames: Frame[] = [];
  let pieces = 0;
  framer.push(Buffer.from(text));
  for (let frame = framer.next(); frame; frame = framer.next())
    if (frame.kind === 'unfinished') pieces++;
    else frames.push(frame);
  return { frames, pieces };
}

const rows: [what: string, message: Record<string, unknown>, kept: Record<string, unknown>][] = [
  ['an answer', { jsonrpc: '2.0', id: 1, result: many }, { jsonrpc: '2.0', id: 1, result: many }],
  [
    'an answer that is an error',
    { jsonrpc: '2.0', id: 1, error: { code: 1, data: { many } } },
    { jsonrpc: '2.0', id: 1, error: { code: 1, data: { many } } },
  ],
  [
    'a word of progress',
    { params: { id: 1, value: many }, jsonrpc: '2.0', method: '$/progress' },
    { jsonrpc: '2.0', method: '$/progress', params: { id: 1, value: many } },
  ],
  [
    'a request',
    { params: { many }, jsonrpc: '2.0', id: 'a', method: 'kv.get' },
    { jsonrpc: '2.0', id: 'a', method: 'kv.get', params: tooManyValues },
  ],
  [
    'a notification that nobody knows',
    { jsonrpc: '2.0', method: '$/noise', params: { many } },
    { jsonrpc: '2.0', method: '$/noise', params: {} },
  ],
  ['an id that is none', { jsonrpc: '2.0', id: many, result: 1 }, { jsonrpc: '2.0', id: {}, result: 1 }],
  ['a member of no meaning', { jsonrpc: '2.0', id: 1, result: 1, more: many }, { jsonrpc: '2.0', id: 1, result: 1, more: {} }],
];
for (const [what, message, kept] of rows)
  t.test(`given ${what} with very many values, when it is read, then it is read in pieces and keeps what somebody waits for`, async (t) => {
    const { frames, pieces } = readAll(`${JSON.stringify(message)}\n{"next":1}\n`);

    t.ok(pieces >= 10, `${pieces} pieces`);
    t.match(frames, [{ kind: 'message' }, { kind: 'message', value: { next: 1 } }]);
    const [first] = frames;
    t.same(first?.kind === 'message' && first.value, kept);
  });

const faults: [what: string, tail: string, rule: string][] = [
  ['a key twice behind them', '],"id":1,"id":2}', 'duplicate-key'],
  ['__proto__ behind them', '],"__proto__":1}', 'forbidden-key'],
  ['a bracket that does not fit', '}}', 'invalid-json'],
  ['a NUL', '\0]}', 'nul-byte'],
  ['invalid UTF-8', '"\xff"]}', 'invalid-utf8'],
  ['an unpaired surrogate', ',"\\ud800"]}', 'lone-surrogate'],
  ['too deep a nesting', `,${'['.repeat(70)}`, 'too-deep'],
];
for (const [what, tail, rule] of faults)
  t.test(`given very many values and ${what}, when the line is read, then it is the violation ${rule}`, async (t) => {
    const framer = createFramer();
    framer.push(Buffer.from(`{"jsonrpc":"2.0","method":"$/x","params":[${Array(5_000).fill('{}')}${tail}\n`, 'latin1'));
    let frame = framer.next();
    while (frame?.kind === 'unfinished') frame = framer.next();
    t.match(frame, { kind: 'violation', rule });
    framer.push(Buffer.from('{"a":1}\n'));
    t.equal(framer.next(), null, 'nothing is read after it');
  });

t.test('given what stands for too many params, when any host method looks at it, then it is refused and the reason is named', async (t) => {
  for (const method of hostMethodNames) {
    const { success, error } = hostMethods[method].params.safeParse(tooManyValues);
    t.equal(success, false, method);
    t.match(error?.message, 'more values than any method takes');
  }
});
