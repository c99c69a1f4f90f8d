import t from 'tap';
import { createRedactor, listSecrets } from '../../../supervisor/dev/harness/redact.ts';

const { redact } = createRedactor([
  'hunter22',
  'ab"c\\d',
  '4711471147',
  ...listSecrets({ private_key: 'first line of a key\nsecond line of a key' }),
]);
const within = (text: string): string => Buffer.from(text).toString('base64');

const rows: [string, unknown, unknown][] = [
  ['a secret of the settings inside a text', 'x hunter22 y', 'x [redacted] y'],
  ['a secret inside JSON that is kept as text', JSON.stringify({ v: 'ab"c\\d' }), '{"v":"[redacted]"}'],
  ['a secret as a URL spells it', 'https://x/ab%22c%5Cd?q=ab%22c\\d', 'https://x/[redacted]?q=[redacted]'],
  ['a header', { headers: { Authorization: 'abc', accept: 'x' } }, { headers: { Authorization: '[redacted]', accept: 'x' } }],
  [
    'a field by its name, however deep',
    { api_key: ['a', { b: 'c' }, 7, true, null] },
    { api_key: ['[redacted]', { b: '[redacted]' }, '[redacted]', true, null] },
  ],
  ['a bearer token', 'sent Bearer abcdef123456', 'sent Bearer [redacted]'],
  ['a token of the service', `lat_${'a'.repeat(43)}`, '[redacted]'],
  ['a JSON web token', 'eyJhbGciOi.eyJzdWIi.sig_-x', '[redacted]'],
  ['a password in a URL', 'https://ada:pw@example.com/', 'https://[redacted]@example.com/'],
  ['a parameter of a URL', 'https://example.com/?a=1&access_token=xyz#f', 'https://example.com/?a=1&access_token=[redacted]#f'],
  ['a field of JSON that is kept as text', '{"password":"pw","a":"b"}', '{"password":"[redacted]","a":"b"}'],
  ['a private key', '-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----', '[redacted]'],
  ['a user alone in a URL', 'https://tok3n@example.com/', 'https://[redacted]@example.com/'],
  ['a password with an @ in a URL', 'https://ada:p@w:x@example.com/', 'https://[redacted]@example.com/'],
  ['an entry whose key is the name of a secret', { key: 'api_key', value: 'x1' }, { key: 'api_key', value: '[redacted]' }],
  ['a header as a pair', [{ name: 'Authorization', value: 'x1' }], [{ name: 'Authorization', value: '[redacted]' }]],
  ['a secret number', { n: 4711471147 }, { n: '[redacted]' }],
  ['one line of a secret that has several', 'log: second line of a key', 'log: [redacted]'],
  ['a line of a key file', `${'Ab0/'.repeat(16)}`, '[redacted]'],
  ['a digest', '0f'.repeat(32), '0f'.repeat(32)],
  ['a secret in hex', Buffer.from('hunter22').toString('hex'), '[redacted]'],
  ['JSON within JSON that is kept as text', JSON.stringify(JSON.stringify({ password: 'pw' })), '"{\\"password\\":\\"[redacted]\\"}"'],
  ['a key of a well-known service', 'with ghp_abcdefghijklmnopqrstuvwxyz0123', 'with [redacted]'],
  [
    'a short name of a secret',
    { auth: 'x', pass: 'y', author: 'Ada', compass: 'N' },
    { auth: '[redacted]', pass: '[redacted]', author: 'Ada', compass: 'N' },
  ],
  ['nothing secret', { key: 'colour', value: 'green', n: 1 }, { key: 'colour', value: 'green', n: 1 }],
];
for (const [what, given, expected] of rows) {
  t.test(`given ${what}, when it is redacted, then what is left is ${JSON.stringify(expected)}`, async (t) => {
    t.same(redact(given), expected);
  });
}

t.test('given a secret within longer bytes, when they are base64, then none of its own characters is left', async (t) => {
  for (const before of ['', 'a', 'ab', 'abc']) {
    const clean = String(redact(within(`${before}hunter22, and more`)));
    t.match(clean, '[redacted]');
    t.notMatch(Buffer.from(clean.replace('[redacted]', ''), 'base64').toString(), 'unter');
  }
});

t.test('given what a plugin calls a secret itself, when it was learned, then it is found in what follows', async (t) => {
  const { redact, learn } = createRedactor([]);
  t.equal(redact('sent abc-123'), 'sent abc-123');
  learn('abc-123');
  learn('x');
  t.equal(redact('sent abc-123'), 'sent [redacted]');
});

t.test('given a text made to keep the patterns busy, when it is redacted, then that ends', async (t) => {
  t.match(redact(`"${'token'.repeat(60_000)}`), 'tokentoken');
});

t.test('given settings, when their secrets are listed, then those are the texts under such names', async (t) => {
  t.same(listSecrets({ city: 'Hamburg', api_key: 'k-123', mail: { password: 'pw-1', tokens: ['t-111', 'no'] } }), [
    'k-123',
    'pw-1',
    't-111',
  ]);
});
