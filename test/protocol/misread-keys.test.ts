import fc from 'fast-check';
import t from 'tap';
import { createDenseMessage } from '../../protocol/dense-message.ts';
import { createFramer } from '../../protocol/framing.ts';
import { parseJson } from '../../protocol/parse-json.ts';
import { parseStrict, parseStrictText } from '../../protocol/strict-json.ts';

/** Texts after which V8 takes the other's second key for its own; each pair begins with a key of its own, so that none meets another. */
const pairs: [name: string, before: string, text: string, value: Record<string, unknown>][] = [
  ['a newline', '{"A":1,"\\\\":2}', '{"A":1,"\\n":2}', { A: 1, '\n': 2 }],
  ['a quote', '{"B":1,"note\\\\":2}', '{"B":1,"note\\"":2}', { B: 1, 'note"': 2 }],
  ['a letter by its number', '{"C":1,"\\\\":2}', '{"C":1,"\\u0041":2}', { C: 1, A: 2 }],
  ['a key that goes on behind what is equal', '{"D":1,"a\\\\nb":2}', '{"D":1,"a\\nbX":2}', { D: 1, 'a\nbX': 2 }],
  ['two keys of which one is misread', '{"E":1,"\\\\":2}', '{"E":1,"\\n":2,"\\\\":3}', { E: 1, '\n': 2, '\\': 3 }],
  ['a key beyond Latin', '{"F":1,"\\\\Ж":2}', '{"F":1,"\\nЖ":2}', { F: 1, '\nЖ': 2 }],
];
const readers: [name: string, read: (text: string) => unknown][] = [
  ['parseStrict', (text) => parseStrict(Buffer.from(text))],
  ['parseStrictText', (text) => parseStrictText(text)],
  ['parseJson', (text) => ({ ok: true, value: parseJson(text) })],
];

for (const [reader, read] of readers)
  for (const [name, before, text, value] of pairs) {
    t.test(`given ${name} behind a text that misleads JSON.parse, when ${reader} reads it, then its keys are its own`, async (t) => {
      JSON.parse(before.replace('":1', `${reader}":1`));
      const wanted = Object.fromEntries(Object.entries(value).map(([key, inner], at) => [at === 0 ? key + reader : key, inner]));
      t.strictSame(read(text.replace('":1', `${reader}":1`)), { ok: true, value: wanted });
    });
  }

t.test('given a key twice that JSON.parse was misled to take for two, when it is parsed, then it is refused', async (t) => {
  JSON.parse('{"twice":1,"a":1,"\\\\":2}');
  t.match(parseStrict(Buffer.from('{"twice":1,"a":3,"\\u0061":2}')), { ok: false, rule: 'duplicate-key' });
});

t.test('given __proto__ that JSON.parse was misled to take for another, when it is parsed, then it is refused', async (t) => {
  JSON.parse('{"proto":1,"\\\\u005f_pr":2}');
  t.match(parseStrict(Buffer.from('{"proto":1,"\\u005f_proto__":2}')), { ok: false, rule: 'forbidden-key' });
});

t.test('given a line of very many values behind one that misleads, when it is read, then its small members keep their keys', async (t) => {
  JSON.parse('{"dense":1,"\\\\":2}');
  const message = createDenseMessage(`{"id":{"dense":1,"\\n":2},"result":[${'0,'.repeat(3000)}0]}`, 64);
  let end = message.step(1e6).end;
  while (!end) end = message.step(1e6).end;
  t.match(end, { ok: true, value: { id: { dense: 1, '\n': 2 } } });
});

t.test('given lines in one stream, when one would mislead the reading of the next, then each is what was sent', async (t) => {
  const framer = createFramer();
  const values: unknown[] = [];
  framer.push(Buffer.from('{"stream":1,"\\\\":2}\n{"stream":1,"\\n":2}\n'));
  for (let frame = framer.next(); frame; frame = framer.next()) if (frame.kind === 'message') values.push(frame.value);
  t.strictSame(values, [
    { stream: 1, '\\': 2 },
    { stream: 1, '\n': 2 },
  ]);
});

/** Writes a key as JSON, each character plainly, by its short escape or by its number. */
const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\\': '\\\\', '"': '\\"', '/': '\\/', '\t': '\\t' };
const written = ([character, byNumber]: [string, boolean]): string =>
  byNumber ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : (shortEscapes[character] ?? character);
const keyText = fc
  .array(fc.tuple(fc.constantFrom('\\', '"', '\n', 'n', 'u', '0', '5', 'c', 'a', 'é', 'Ж'), fc.boolean()), { maxLength: 4 })
  .map((characters) => ({ key: characters.map(([character]) => character).join(''), text: `"${characters.map(written).join('')}"` }));
const objects = fc.array(fc.uniqueArray(keyText, { maxLength: 3, selector: ({ key }) => key }), { minLength: 2, maxLength: 6 });

t.test('given objects with keys of all sorts one after the other, when each is parsed, then each keeps its keys', async (t) => {
  let misled = 0;
  fc.assert(
    fc.property(objects, (list) => {
      for (const keys of list) {
        const text = `{${keys.map((key, at) => `${key.text}:${at}`).join(',')}}`;
        const wanted = JSON.stringify(Object.fromEntries(keys.map(({ key }, at) => [key, at])));
        if (JSON.stringify(JSON.parse(text)) !== wanted) misled++;
        if (JSON.stringify(parseJson(text)) !== wanted) return false;
        const strict = parseStrict(Buffer.from(text));
        if (!strict.ok || JSON.stringify(strict.value) !== wanted) return false;
      }
      return true;
    }),
    { numRuns: 5000, seed: 11 },
  );
  t.comment(`JSON.parse was misled ${misled} times`);
  t.pass('5000 lists of objects');
});
