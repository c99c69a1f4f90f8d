// Controls, escapes, bidi and invisible format characters, line separators, lone surrogates, private use, what is empty and no plain space,
// and marks piled upon marks: any of them can make a terminal show something else than what is there, or do something.
const hostile = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\p{DI}\u2800]|(?! )\p{Zs}|(?<=\p{M}{3})\p{M}/gu;
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

const alike = [
  /\p{sc=Latin}/u,
  /\p{sc=Cyrillic}/u,
  /\p{sc=Greek}/u,
  /\p{sc=Armenian}/u,
  /\p{sc=Cherokee}/u,
  /\p{sc=Coptic}/u,
  /\p{sc=Lisu}/u,
];
const isDisguised = (character: string): boolean =>
  /[\p{L}\p{N}]/u.test(character) && character.normalize('NFKC') !== character.normalize('NFC');

/** Whether a name has letters that people take for others: of scripts that share shapes, or letters in the dress of symbols. */
export const looksLikeAnother = (text: string): boolean =>
  alike.filter((script) => script.test(text)).length > 1 || [...text].some(isDisguised);
