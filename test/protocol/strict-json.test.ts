import fc from 'fast-check';
import t from 'tap';
import { parseStrict, parseStrictText } from '../../protocol/strict-json.ts';

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

const refused: [name: string, bytes: string | Buffer, rule: string][] = [
  ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'invalid-utf8'],
  ['an overlong encoding of a slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), 'invalid-utf8'],
  ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'invalid-utf8'],
  ['a byte order mark', '\ufeff{}', 'byte-order-mark'],
  ['a NUL byte', '{"a":1}\0', 'nul-byte'],
  ['65 nested arrays', nested(65), 'too-deep'],
  ['200 000 nested arrays', nested(200_000), 'too-deep'],
  ['nesting that never closes', '{"a":'.repeat(100_000), 'too-deep'],
  ['a key twice', '{"a":1,"a":2}', 'duplicate-key'],
  ['a key twice, once escaped', '{"a":1,"\\u0061":2}', 'duplicate-key'],
  ['a key twice, deep inside', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}', 'duplicate-key'],
  ['__proto__', '{"__proto__":{"admin":true}}', 'forbidden-key'],
  ['__proto__, escaped', '{"\\u005f_proto__":1}', 'forbidden-key'],
  ['a lone high surrogate', '{"a":"\\ud800"}', 'lone-surrogate'],
  ['a lone low surrogate in a key', '{"\\udc00":1}', 'lone-surrogate'],
  ['a number that is infinite', '{"a":1e400}', 'number-out-of-range'],
  ['a text that ends early', '{"a":', 'invalid-json'],
  ['an unterminated string', '{"a":"b', 'invalid-json'],
  ['trailing data', '{} {}', 'invalid-json'],
  ['a trailing comma', '[1,]', 'invalid-json'],
  ['a comment', '{/* */}', 'invalid-json'],
  ['NaN', '[NaN]', 'invalid-json'],
  ['nothing', '', 'invalid-json'],
  ['a quote in an escape at the end', '"\\"', 'invalid-json'],
];

for (const [name, bytes, rule] of refused) {
  t.test(`given ${name}, when it is parsed, then it is refused as ${rule}`, async (t) => {
    t.match(parseStrict(Buffer.from(bytes as string)), { ok: false, rule });
  });
}

t.test('given 64 nested arrays, when they are parsed, then they are accepted', async (t) => {
  t.equal(parseStrictText(nested(64)).ok, true);
});

t.test('given colons, braces and escaped quotes inside strings, when they are parsed, then they count for nothing', async (t) => {
  const value = { 'a:b': '{"x":1,"x":2}', c: '\\', 'd"': ['":"', '\\"', '[[['], e: '\u{1f600}' };
  t.same(parseStrictText(JSON.stringify(value)), { ok: true, value });
});

t.test('given any JSON value, when its text is parsed, then the same value comes back', async (t) => {
  const anyValue = fc.jsonValue({ maxDepth: 8 }).filter((value) => !JSON.stringify(value).includes('__proto__'));
  fc.assert(
    fc.property(anyValue, (value) => {
      const text = JSON.stringify(value);
      const parsed = parseStrictText(text);
      return parsed.ok && JSON.stringify(parsed.value) === text;
    }),
    { numRuns: 2000, seed: 7 },
  );
  t.pass('2000 values');
});

t.test('given any text, when it is parsed, then it is a value or a rule, never a throw, and never more than JSON allows', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', 'a', '1', ' ', 'u', '0'), maxLength: 24 }),
      (text) => {
        const parsed = parseStrictText(text);
        if (!parsed.ok) return true;
        JSON.parse(text);
        return true;
      },
    ),
    { numRuns: 5000, seed: 11 },
  );
  t.pass('5000 texts');
});
