import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { createShapeScanner, type JsonShape } from '../../protocol/json-shape.ts';

const depthMost = 5;

/** The same, character by character. */
function scanSlowly(text: string): JsonShape {
  const shape: JsonShape = { depth: 0, colons: 0, values: 0, strings: 0, backslashes: false };
  let [depth, inString, escaped] = [0, false, false];
  for (const character of text) {
    if (inString) {
      if (escaped) escaped = false;
      else if (character === '\\') [escaped, shape.backslashes] = [true, true];
      else if (character === '"') inString = false;
      continue;
    }
    if (character === '"') [inString, shape.strings] = [true, shape.strings + 1];
    if (':,{['.includes(character)) shape.values++;
    if (character === ':') shape.colons++;
    if ('{['.includes(character)) shape.depth = Math.max(shape.depth, ++depth);
    if ('}]'.includes(character)) depth--;
    if (depth > depthMost) break;
  }
  return shape;
}

const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('"', '\\', '{', '}', '[', ']', ':', ',', 'a', '1', ' ') },
  { weight: 1, arbitrary: fc.nat(200).map((length) => 'x'.repeat(length)) },
  { weight: 1, arbitrary: fc.nat(100).map((length) => '\\"'.repeat(length)) },
);
const anyText = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''));

t.test('given any text in any pieces, when it is scanned, then its shape is what a look at each character finds', async (t) => {
  const scanner = createShapeScanner(depthMost);
  fc.assert(
    fc.property(anyText, fc.array(fc.nat(300), { maxLength: 4 }), anyText, (text, cuts, behind) => {
      const ends = [...cuts.filter((at) => at < text.length).sort((one, other) => one - other), text.length];
      let from = 0;
      for (const end of ends) {
        // What stands behind a piece in its chunk is not part of it, and what stands before it neither.
        scanner.open(behind + text.slice(from, end) + behind);
        scanner.scan(behind.length, behind.length + end - from);
        from = end;
      }
      return isDeepStrictEqual(scanner.take(), scanSlowly(text));
    }),
    { numRuns: 2000 },
  );
  t.pass('2000 times');
});

t.test('given lines one behind the other in one chunk, when each is scanned, then each has its own shape', async (t) => {
  const scanner = createShapeScanner(depthMost);
  fc.assert(
    fc.property(fc.array(anyText, { maxLength: 5 }), (lines) => {
      scanner.open(lines.join('\n'));
      let from = 0;
      return lines.every((line) => {
        scanner.scan(from, from + line.length);
        from += line.length + 1;
        return isDeepStrictEqual(scanner.take(), scanSlowly(line));
      });
    }),
    { numRuns: 500 },
  );
  t.pass('500 times');
});

t.test('given an escape cut in two, with nothing in between, when it is scanned, then the quote behind it ends no string', async (t) => {
  const scanner = createShapeScanner(depthMost);
  for (const piece of ['{"a\\', '', '"":1']) {
    scanner.open(piece);
    scanner.scan(0, piece.length);
  }
  t.match(scanner.take(), { colons: 1, strings: 1, backslashes: true });
});

t.test('given long strings and what stands outside them, when they are scanned, then only the strings are jumped over', async (t) => {
  const scanner = createShapeScanner(depthMost);
  const jumpedOf = (text: string) => {
    scanner.open(text);
    scanner.scan(0, text.length);
    scanner.take();
    return scanner.takeJumped();
  };
  t.equal(jumpedOf(`{"abc":"${'x'.repeat(5000)}"}`), 5003);
  t.equal(jumpedOf(`[${' '.repeat(5000)}1]`), 0);
  t.ok(jumpedOf(`["${'\\n'.repeat(2500)}"]`) < 100, 'behind an escape there is no jump');
});
