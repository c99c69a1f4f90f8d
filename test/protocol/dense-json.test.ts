import fc from 'fast-check';
import t from 'tap';
import { createDenseParser } from '../../protocol/dense-json.ts';
import { parseStrict, parseStrictText } from '../../protocol/strict-json.ts';

const depth = 8;

function parseDense(text: string, build: boolean, piece: number) {
  const parser = createDenseParser(text, { depth, build });
  while (!parser.step(piece));
  const rule = parser.fault();
  return rule ? { ok: false, rule } : { ok: true, value: parser.value() };
}

/** Texts that are JSON, nearly JSON, and of the characters that matter. */
const soup = fc.string({
  unit: fc.constantFrom(...'{}[]":,\\ua10-+.eE \t\n/', 'true', 'null', '\\ud800', '"__proto__":', '"a":'),
  maxLength: 30,
});
const sound = fc.jsonValue({ maxDepth: 5 }).map((value) => JSON.stringify(value));
const bent = fc
  .tuple(sound, fc.nat(), fc.constantFrom('', '"', ',', ':', '{', ']', '\\', '1', ' ', '\u0000', '\u0001', 'é', '\ufeff'))
  .map(([text, at, piece]) => text.slice(0, at % (text.length + 1)) + piece + text.slice((at % (text.length + 1)) + 1));
const anyText = fc.oneof(
  soup,
  sound,
  bent,
  fc.array(fc.oneof(soup, sound), { maxLength: 4 }).map((parts) => `[${parts.join(',')}]`),
);

t.test('given any text, when its bytes are parsed, then the outcome is that of the careful parser, rule by rule', async (t) => {
  fc.assert(
    fc.property(anyText, (text) => {
      const bytes = Buffer.from(text);
      return JSON.stringify(parseStrict(bytes, depth)) === JSON.stringify(parseStrictText(bytes.toString(), depth));
    }),
    { numRuns: 20_000, seed: 5 },
  );
  t.pass('20 000 texts');
});

t.test('given any text, when it is parsed in pieces, then as much is accepted as by the careful parser, and the same value', async (t) => {
  let accepted = 0;
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 9 }), (text, piece) => {
      const careful = parseStrictText(text, depth);
      const built = parseDense(text, true, piece);
      if (careful.ok) accepted++;
      return (
        built.ok === careful.ok &&
        parseDense(text, false, piece).ok === careful.ok &&
        (!careful.ok || JSON.stringify(built.value) === JSON.stringify(careful.value))
      );
    }),
    { numRuns: 20_000, seed: 6 },
  );
  t.ok(accepted > 2_000, `${accepted} of them are JSON`);
});

const broken: [text: string, rule: string][] = [
  ['{"a":1,"b":2,"a":3}', 'duplicate-key'],
  ['[{"a":1,"\\u0061":3}]', 'duplicate-key'],
  ['{"__proto__":1}', 'forbidden-key'],
  ['["\\ud800"]', 'lone-surrogate'],
  ['{"\\udc00":1}', 'lone-surrogate'],
  ['[1e400]', 'number-out-of-range'],
  [`${'['.repeat(9)}${']'.repeat(9)}`, 'too-deep'],
  ['[1,]', 'invalid-json'],
  ['[01]', 'invalid-json'],
  ['{} {}', 'invalid-json'],
  ['["a', 'invalid-json'],
  ['[tru]', 'invalid-json'],
  ['{"a" 1}', 'invalid-json'],
  ['[}', 'invalid-json'],
  ['["\u0000"]', 'invalid-json'],
];
for (const [text, rule] of broken)
  t.test(`given ${JSON.stringify(text.slice(0, 24))}, when it is parsed in pieces, then it is refused as ${rule}`, async (t) => {
    for (const build of [true, false]) t.match(parseDense(text, build, 3), { ok: false, rule });
  });

t.test('given a part of a text, when only that is parsed, then what stands around it does not count', async (t) => {
  const parser = createDenseParser('xx[1,"a"]yy', { depth, build: true, from: 2, to: 9 });
  t.equal(parser.step(100), true);
  t.same([parser.fault(), parser.value()], [null, [1, 'a']]);
  const cut = createDenseParser('"abc"', { depth, build: true, from: 0, to: 4 });
  cut.step(100);
  t.equal(cut.fault(), 'invalid-json');
});

t.test('given pieces of few values, when a text of many is parsed, then it takes as many pieces', async (t) => {
  const parser = createDenseParser(`[${Array(5_000).fill('{}')}]`, { depth, build: false });
  let pieces = 1;
  while (!parser.step(500)) pieces++;
  t.ok(pieces >= 10_000 / 500, `${pieces} pieces`);
});
