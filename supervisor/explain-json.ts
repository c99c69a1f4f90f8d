import type { Refused } from '../protocol/strict-json.ts';

/**
 * Why a text of the operator's or the author's own is refused: what stood where something else was expected, and the place as compilers write it
 * (`:line:column`), empty where that is not known.
 */
export function explainJson(text: string, { rule, detail }: Refused): { place: string; detail: string } {
  if (rule !== 'invalid-json') return { place: '', detail };
  const { place, what } = findFault(text);
  return { place: place ? `:${place.line}:${place.column}` : '', detail: what === '' ? detail : `${detail}: ${what}` };
}

function findFault(text: string): { place: { line: number; column: number } | null; what: string } {
  try {
    JSON.parse(text);
    return { place: null, what: '' };
  } catch (error) {
    const said = error instanceof Error ? error.message : '';
    const [, line, column] = /\(line (\d+) column (\d+)\)$/.exec(said) ?? [];
    return { place: line === undefined ? null : { line: Number(line), column: Number(column) }, what: plainWords(said) };
  }
}

/** V8's words without its positions, and without the text itself that it quotes. */
function plainWords(said: string): string {
  const [what = ''] = said.split(/ in JSON at | after JSON at | JSON input|, (?:\.\.\.)?"/);
  const first = what.charAt(0).toLowerCase();
  if (/ after JSON at /.test(said)) return 'something stands after its end';
  return what === '' ? '' : `${first}${what.slice(1)}`.replace(/^unexpected end of$/, 'it ends too early');
}

/** For a text of one line: what is to be said of it, after its name. */
export function explainLine(text: string, refused: Refused): string {
  if (refused.rule !== 'invalid-json') return `is refused: ${refused.detail}`;
  const { place, what } = findFault(text);
  return `is not JSON${what && `: ${what}`}${place ? `, at character ${place.column}` : ''}`;
}
