import t from 'tap';
import { createCallMatcher, matchesPattern, matchesText } from '../../../supervisor/dev/fixture/match-fixture.ts';
import { checkFixture, parseFixture } from '../../../supervisor/dev/fixture/read-fixture.ts';

const faults: [string, string, RegExp][] = [
  ['a field that is not there', 'kv:\n  a: b\ncals: []\n', /^f\.yaml:3:\d+: \/cals: there is no field "cals" here/],
  ['an unknown method', 'calls:\n  - method: kv.got\n', /^f\.yaml:2:13: \/calls\/0\/method:/],
  [
    'a name that was mistyped',
    'calls:\n  - metod: kv.get\n    pass: true\n',
    /^f\.yaml:2:12: \/calls\/0\/metod: there is no field "metod" here/,
  ],
  ['an unknown error word', 'calls:\n  - method: kv.get\n    error:\n      code: nope\n', /^f\.yaml:4:13: \/calls\/0\/error\/code:/],
  ['two answers', 'calls:\n  - method: kv.get\n    pass: true\n    error: { code: conflict }\n', /^f\.yaml:2:5: \/calls\/0: give one of/],
  [
    'a result that the method cannot have',
    'calls:\n  - method: kv.get\n    result: { value: 7, revision: 1 }\n',
    /^f\.yaml:3:22: \/calls\/0\/result\/value: kv\.get cannot answer this:.*an example: \{"value"/,
  ],
  [
    'a pattern that is none',
    'calls:\n  - method: kv.get\n    params: { key: { $regex: "(" } }\n',
    /^f\.yaml:3:\d+: \/calls\/0\/params\/key\/\$regex: .*regular expression/i,
  ],
  ['a status that is none', 'http:\n  - { url: x, status: 99 }\n', /^f\.yaml:2:23: \/http\/0\/status/],
  ['a key that stands twice', 'kv:\n  a: b\n  a: c\n', /^f\.yaml:3:3: .*unique/i],
  ['what is no YAML', 'kv: {\n', /^f\.yaml:2:1: /],
  ['JSON with a fault', '{"calls": [{"method": "log.write", "nth": 0}]}', /^f\.yaml:1:43: \/calls\/0\/nth/],
];

for (const [what, text, message] of faults) {
  t.test(`given ${what}, when the fixture is read, then the error names the line and a way out`, async (t) => {
    t.throws(() => parseFixture(text, 'f.yaml'), { code: 'invalid-params', message, details: { rule: 'fixture', hint: /./ } });
  });
}

t.test('given an empty file, when it is read, then it is a fixture without lines', async (t) => {
  t.same(parseFixture('', 'f.yaml'), { http: [], calls: [] });
});

const texts: [string, string, boolean][] = [
  ['a', 'a', true],
  ['a', 'ab', false],
  ['*', '', true],
  ['a*', 'abc', true],
  ['*c', 'abc', true],
  ['a*c*', 'abcd', true],
  ['a*b', 'ab', true],
  ['ab*b', 'ab', false],
  ['a\\*', 'a*', true],
  ['a\\*', 'ab', false],
  ['https://x/*', 'https://x/?a=b', true],
];
for (const [pattern, text, expected] of texts) {
  t.test(`given the pattern ${pattern}, when ${text} is matched, then it is ${expected ? 'found' : 'not found'}`, async (t) => {
    t.equal(matchesText(pattern, text), expected);
  });
}

t.test('given patterns of other kinds, when values are matched, then parts, lists, $regex and $any decide', async (t) => {
  t.ok(matchesPattern({ a: { b: 'x*' } }, { a: { b: 'xy', c: 1 }, d: 2 }));
  t.notOk(matchesPattern({ a: 1 }, {}));
  t.notOk(matchesPattern({ toString: { $any: true } }, {}), 'what is inherited is not there');
  t.ok(matchesPattern([1, 'b*'], [1, 'bc']));
  t.notOk(matchesPattern([1], [1, 2]));
  t.ok(matchesPattern({ key: { $regex: '^u-\\d+$' } }, { key: 'u-12' }));
  t.notOk(matchesPattern({ key: { $regex: '^u-\\d+$' } }, { key: 'u-x' }));
  t.ok(matchesPattern({ key: { $any: true } }, { key: null }));
  t.notOk(matchesPattern({ key: 1 }, { key: '1' }));
});

t.test('given several lines, when calls come, then the first that is due answers, and each line counts its own', async (t) => {
  const { calls } = checkFixture({
    calls: [
      { method: 'kv.get', params: { key: 'a' }, nth: 2, error: { code: 'conflict' } },
      { method: 'kv.get', result: { value: 'any', revision: 1 } },
      { method: 'kv.delete', pass: true },
    ],
  });
  const matcher = createCallMatcher(calls);
  t.equal(matcher.find('kv.get', { key: 'a' })?.line, 1);
  t.equal(matcher.find('kv.get', { key: 'b' })?.line, 1);
  t.equal(matcher.find('kv.get', { key: 'a' })?.line, 0);
  t.equal(matcher.find('kv.put', { key: 'a' }), null);
  t.same(matcher.unused(), ['/calls/2 (kv.delete)']);
});
