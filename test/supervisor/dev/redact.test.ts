import t from 'tap';
import { createRedactor, listSecrets } from '../../../supervisor/dev/harness/redact.ts';

const redact = createRedactor(['hunter22', 'ab"c\\d']);

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
  ['nothing secret', { key: 'colour', value: 'green', n: 1 }, { key: 'colour', value: 'green', n: 1 }],
];
for (const [what, given, expected] of rows) {
  t.test(`given ${what}, when it is redacted, then what is left is ${JSON.stringify(expected)}`, async (t) => {
    t.same(redact(given), expected);
  });
}

t.test('given settings, when their secrets are listed, then those are the texts under such names', async (t) => {
  t.same(listSecrets({ city: 'Hamburg', api_key: 'k-123', mail: { password: 'pw-1', tokens: ['t-111', 'no'] } }), [
    'k-123',
    'pw-1',
    't-111',
  ]);
});
