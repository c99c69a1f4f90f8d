import t from 'tap';
import { readFault } from '../support/kill-steps.ts';
import { openWorkshop } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const artifact = readFault('raw.js');
const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'answered',
    (error) => error.code,
  );
const ask = (id: string) => `{"jsonrpc":"2.0","id":${id},"method":"kv.put","params":{"key":"a","value":"b"}}\n`;
const answer = (id: string, result: string) => `{"jsonrpc":"2.0","id":${id},"result":${result}}\n`;
const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part as string)));

/** What is written, the rule it breaks, and how many host calls were let through before that. */
const rows: Record<string, { raw: Buffer; rule: string; calls?: number }> = {
  'invalid UTF-8 in a string': { raw: bytes('{"jsonrpc":"2.0","id":1,"result":"', [0xc3, 0x28], '"}\n'), rule: 'invalid-utf8' },
  'an overlong slash': { raw: bytes('{"jsonrpc":"2.0","id":1,"result":"', [0xc0, 0xaf], '"}\n'), rule: 'invalid-utf8' },
  'a surrogate in UTF-8': { raw: bytes('{"jsonrpc":"2.0","id":1,"result":"', [0xed, 0xa0, 0x80], '"}\n'), rule: 'invalid-utf8' },
  'a lone surrogate': { raw: bytes(answer('1', '"\\ud800"')), rule: 'lone-surrogate' },
  'a lone surrogate in a key': { raw: bytes(answer('1', '{"\\udc00":1}')), rule: 'lone-surrogate' },
  'surrogates in the wrong order': { raw: bytes(answer('1', '"\\udc00\\ud800"')), rule: 'lone-surrogate' },
  'a NUL byte': { raw: bytes('{"jsonrpc":"2.0",', [0], '"id":1,"result":1}\n'), rule: 'nul-byte' },
  'a byte order mark': { raw: bytes([0xef, 0xbb, 0xbf], answer('1', '1')), rule: 'byte-order-mark' },
  'a duplicate id in flight': { raw: bytes(ask('9'), ask('9')), rule: 'duplicate-id', calls: 1 },
  'an answer to an unknown id': { raw: bytes(answer('4711', '1')), rule: 'unknown-answer' },
  'an answer to an id as text': { raw: bytes(answer('"2"', '1')), rule: 'unknown-answer' },
  'an answer to __proto__': { raw: bytes(answer('"__proto__"', '1')), rule: 'unknown-answer' },
  'an id of 2^53': { raw: bytes(ask('9007199254740992')), rule: 'invalid-id' },
  'an id of -2^53': { raw: bytes(ask('-9007199254740992')), rule: 'invalid-id' },
  'an id that is rounded': { raw: bytes(ask('9007199254740993')), rule: 'invalid-id' },
  'a fraction as id': { raw: bytes(ask('0.5')), rule: 'invalid-id' },
  'null as id': { raw: bytes(ask('null')), rule: 'invalid-id' },
  'an object as id': { raw: bytes(ask('{}')), rule: 'invalid-id' },
  'an empty id': { raw: bytes(ask('""')), rule: 'invalid-id' },
  'an id of 65 characters': { raw: bytes(ask(`"${'i'.repeat(65)}"`)), rule: 'invalid-id' },
  '1e400': { raw: bytes(answer('1', '1e400')), rule: 'number-out-of-range' },
  '1e400 as id': { raw: bytes(ask('1e400')), rule: 'number-out-of-range' },
  NaN: { raw: bytes(answer('1', 'NaN')), rule: 'invalid-json' },
  'depth 200 000': { raw: bytes('['.repeat(200_000), ']'.repeat(200_000), '\n'), rule: 'too-deep' },
  'depth 200 000 in an answer': { raw: bytes(answer('1', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`)), rule: 'too-deep' },
  '__proto__ in params': {
    raw: bytes('{"jsonrpc":"2.0","id":9,"method":"kv.put","params":{"__proto__":{"key":"a"}}}\n'),
    rule: 'forbidden-key',
  },
  '__proto__ by escapes': { raw: bytes(answer('1', '{"\\u005f_proto__":{}}')), rule: 'forbidden-key' },
  'a key twice': { raw: bytes('{"jsonrpc":"2.0","id":9,"method":"kv.get","method":"kv.put","params":{}}\n'), rule: 'duplicate-key' },
  'a batch': { raw: bytes(`[${ask('9').trim()},${ask('10').trim()}]\n`), rule: 'batch' },
  'an empty batch': { raw: bytes('[]\n'), rule: 'batch' },
  'a request as a notification': {
    raw: bytes('{"jsonrpc":"2.0","method":"kv.put","params":{"key":"a","value":"b"}}\n'),
    rule: 'request-without-id',
  },
  'an answer with error and result': { raw: bytes('{"jsonrpc":"2.0","id":1,"result":1,"error":{}}\n'), rule: 'invalid-response' },
  'another version': { raw: bytes('{"jsonrpc":"1.0","id":9,"method":"kv.get"}\n'), rule: 'not-json-rpc' },
  'text as params': { raw: bytes('{"jsonrpc":"2.0","id":9,"method":"kv.get","params":"key"}\n'), rule: 'invalid-params-shape' },
  'two messages on a line': { raw: bytes(ask('9').trim(), ask('10')), rule: 'invalid-json' },
  'a carriage return in a string': { raw: bytes('{"jsonrpc":"2.0","id":9,"method":"kv.\r"}\n'), rule: 'invalid-json' },
};

const neighbour = workshop.open(t, { id: 'example.neighbour', artifact });
await neighbour.arm();

for (const [name, { raw, rule, calls = 0 }] of Object.entries(rows))
  t.test(`given ${name}, when a child writes it, then it ends for ${rule}`, async (t) => {
    const real = workshop.open(t, { artifact });
    await real.arm();
    const pending = [codeOf(real.invoke('hang')), codeOf(real.invoke('write', { base64: raw.toString('base64') }))];
    await real.reached('backoff', 0);

    t.same(await Promise.all(pending), ['plugin-crashed', 'plugin-crashed']);
    t.match(real.lastExit(), { cause: 'protocol-violation', signal: 'SIGKILL' });
    t.equal(real.lastExit()?.detail.split(':')[0], rule);
    t.equal(real.decisions().length, calls);
    t.equal(real.run().counters().held_bytes, 0);
    t.equal(({} as { key?: string }).key, undefined, 'no prototype was changed');
    t.equal(await neighbour.invoke('echo', name), name);
  });

t.test('given strange ids that are allowed, when a child asks with them, then each call is decided once', async (t) => {
  const real = workshop.open(t, { artifact });
  await real.arm();
  const ids = ['"__proto__"', '"constructor"', '-1', '0', '9007199254740991', '"1"', `"${'\u00e9'.repeat(64)}"`];

  t.equal(await real.invoke('write', { base64: Buffer.from(ids.map(ask).join('')).toString('base64') }), 'written');

  // The runner of the child never issued these ids: it takes the answers for a fault of the supervisor's, and ends.
  await real.reached('backoff', 0);
  t.same(
    real.decisions().map(({ method, verdict }) => `${method} ${verdict}`),
    ids.map(() => 'kv.put allow'),
  );
  t.equal(new Set(real.decisions().map(({ requestId }) => requestId)).size, ids.length);
});

t.test('given a child that shuts down, when it asks, then only its own store and log answer', async (t) => {
  const atShutdown = [
    ['kv.put', { key: 'a', value: 'b' }],
    ['kv.get', { key: 'a' }],
    ['log.write', { level: 'info', message: 'bye' }],
    ['http.fetch', { url: 'https://example.com/' }],
    ['notify.send', { channel: 'ops', title: 'bye' }],
    ['audit.query', {}],
    ['no.such', {}],
  ];
  const real = workshop.open(t, { artifact, launch: { config: { at_shutdown: atShutdown } } });
  await real.arm();

  await real.runtime.stop();

  t.same(
    real.decisions().map(({ method, verdict, code, rule }) => [method, verdict, code ?? null, rule ?? null]),
    [
      ['kv.put', 'allow', null, null],
      ['kv.get', 'allow', null, null],
      ['log.write', 'allow', null, null],
      ['http.fetch', 'deny', 'invalid-transition', 'draining'],
      ['notify.send', 'deny', 'invalid-transition', 'draining'],
      ['audit.query', 'deny', 'invalid-transition', 'draining'],
      ['no.such', 'deny', 'method-not-found', null],
    ],
  );
  t.same(
    real.outputs
      .filter(({ source }) => source === 'stderr')
      .map(({ text }) => text)
      .sort(),
    [
      'audit.query invalid-transition draining',
      'http.fetch invalid-transition draining',
      'kv.get answered',
      'kv.put answered',
      'log.write answered',
      'no.such method-not-found undefined',
      'notify.send invalid-transition draining',
    ],
  );
  t.match(real.lastExit(), { cause: 'stopped' });
});

for (const [code, cause] of [
  [0, 'protocol-violation'],
  [3, 'protocol-violation'],
  [78, 'configuration'],
] as const)
  t.test(`given half a line, when the child leaves with code ${code}, then the cause is ${cause}`, async (t) => {
    const real = workshop.open(t, { artifact });
    await real.arm();
    const call = codeOf(real.invoke('leave', { length: 100, code }));
    await real.until(() => ['backoff', 'failed'].includes(real.entered.at(-1) ?? ''));

    t.equal(await call, 'plugin-crashed');
    t.match(real.lastExit(), { cause, code });
    if (cause === 'protocol-violation') t.equal(real.lastExit()?.detail.split(':')[0], 'partial-line-at-end');
  });
