import t from 'tap';
import { visible, visibleJson, visibleLines } from '../../../supervisor/cli/visible.ts';

t.test('given what acts on a terminal, when it is made visible, then it is spelled out; other text stays', async (t) => {
  t.equal(visible('plain ä 日本 😀'), 'plain ä 日本 😀');
  t.equal(visible('\u001b[2J\r\n\t\0\u007f\u009b'), '\\e[2J\\r\\n\\t\\x00\\x7f\\x9b');
  t.equal(visible('\u202e\u2066\u200b\ufeff\u2028\u{e0041}\ud800'), '\\u{202e}\\u{2066}\\u{200b}\\u{feff}\\u{2028}\\u{e0041}\\u{d800}');
  t.equal(visible('a\u00a0b\u3164\u2800\ufe0f\u115f\u3000'), 'a\\xa0b\\u{3164}\\u{2800}\\u{fe0f}\\u{115f}\\u{3000}', 'what looks empty');
  t.equal(visible(`e${'\u0301'.repeat(5)}`), `e${'\u0301'.repeat(3)}\\u{301}\\u{301}`, 'marks that would pile up over other lines');
  t.equal(visibleLines('a\n\tb\r'), 'a\n\tb\\r');
});

t.test('given any value, when it is printed as JSON, then nothing in it acts on a terminal and it reads back the same', async (t) => {
  const value = { '\u202e': ['\u001b', '\u009b', '\u{e0041}', 'ä'], n: null };
  for (const indent of [undefined, 2]) {
    const text = visibleJson(value, indent);
    t.notMatch(text, /[\p{Cf}\u007f-\u009f]/u);
    t.same(JSON.parse(text), value);
  }
  t.equal(visibleJson(undefined), 'null');
});
