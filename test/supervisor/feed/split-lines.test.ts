import fc from 'fast-check';
import t from 'tap';
import { createLineSplitter } from '../../../supervisor/feed/split-lines.ts';

const split = (chunks: (string | Buffer)[], cap = 1000) => {
  const splitter = createLineSplitter(0, cap);
  const lines = chunks.flatMap((chunk) => splitter.push(Buffer.from(chunk)));
  return { lines, rest: splitter.rest() };
};

t.test('given lines in pieces, when they are split, then each comes whole and names the place behind it', async (t) => {
  t.same(split(['on', 'e\ntw', 'o\n\n', 'thr']), {
    lines: [
      { text: 'one', end: 4, cut: false },
      { text: 'two', end: 8, cut: false },
      { text: '', end: 9, cut: false },
    ],
    rest: { text: 'thr', end: 12, cut: false },
  });
});

t.test('given lines that end in CR LF, when they are split, then the CR is not part of them', async (t) => {
  t.same(
    split(['a\r\nb\r', '\n']).lines.map((line) => line.text),
    ['a', 'b'],
  );
});

t.test('given a line over the cap, when it is split, then its beginning is kept and the next line is whole', async (t) => {
  t.same(split(['abc', 'defgh', 'ij\nnext\n'], 5).lines, [
    { text: 'abcde', end: 11, cut: true },
    { text: 'next', end: 16, cut: false },
  ]);
  t.same(split(['abcde\n'], 5).lines, [{ text: 'abcde', end: 6, cut: false }]);
});

t.test('given a hole of zero bytes before a line, when it is split, then only the line comes', async (t) => {
  t.same(split([Buffer.alloc(3000), Buffer.concat([Buffer.alloc(10), Buffer.from('a\0b\nc\n')])]).lines, [
    { text: 'a\0b', end: 3014, cut: false },
    { text: 'c', end: 3016, cut: false },
  ]);
});

t.test(
  'given bytes that are not UTF-8 and a byte order mark, when they are split, then the former are replaced and the latter stays',
  async (t) => {
    t.same(
      split([Buffer.from([0x61, 0xff, 0xc3, 0x28, 0x0a]), '\ufeffx\n']).lines.map((line) => line.text),
      ['a\ufffd\ufffd(', '\ufeffx'],
    );
  },
);

t.test('given any text cut anywhere, when it is split, then the lines and places are those of the whole text', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll(/[\n\r\0]/g, ''))),
      fc.array(fc.nat(40), { maxLength: 30 }),
      (texts, cuts) => {
        const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''));
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const { lines, rest } = split(places.slice(1).map((to, at) => bytes.subarray(places[at], to)));
        return (
          rest === null &&
          JSON.stringify(lines.map((line) => line.text)) === JSON.stringify(texts) &&
          (lines.at(-1)?.end ?? 0) === bytes.length
        );
      },
    ),
  );
});
