// Controls, escapes, bidi and invisible format characters, line separators, lone surrogates, private use: any of them can make a terminal
// show something else than what is there, or do something.
const hostile = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' };

const escapeOne = (character: string): string => {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return short[character] ?? (code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`);
};

/** One line of somebody else's text, safe to print: what could act on a terminal is spelled out. */
export const visible = (text: string): string => text.replace(hostile, escapeOne);

/** The same for a text of several lines, whose line breaks and tabs are kept. */
export const visibleLines = (text: string): string =>
  text.replace(hostile, (character) => (character === '\n' || character === '\t' ? character : escapeOne(character)));

/** JSON that is still the same JSON, and safe to print: what JSON.stringify leaves raw is written as an escape. */
export const visibleJson = (value: unknown, indent?: number): string =>
  (JSON.stringify(value, null, indent) ?? 'null').replace(hostile, (character) =>
    character === '\n'
      ? character
      : [...Array(character.length).keys()].map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  );
