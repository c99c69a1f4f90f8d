import CliTable from 'cli-table3';
import { visible } from './visible.ts';

export type Column = {
  title: string;
  keep?: boolean; // never wrapped: ids and what people copy
  paint?: (text: string) => string;
  /** Where there is no room for all columns: left out, broken after all, or written shorter. */
  narrow?: 'drop' | 'wrap' | ((text: string) => string);
};
type Rows = readonly (readonly string[])[];
type PaintTitle = (text: string) => string;

const gap = '  ';
const leastWidth = 12; // a wrapped column narrower than this helps nobody
const noLines = ['top', 'bottom', 'left', 'right', 'mid'].flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`]);
const chars = { ...Object.fromEntries(noLines.map((name) => [name, ''])), middle: gap };
const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

export const displayWidth = (text: string): number =>
  [...text].reduce((sum, character) => sum + (/\p{M}/u.test(character) ? 0 : wide.test(character) ? 2 : 1), 0);

/** Breaks at spaces; a word that is longer than the width is broken where it must be. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (displayWidth(longer) <= width) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = '';
    for (const character of word) {
      if (displayWidth(line + character) > width) {
        lines.push(line);
        line = '';
      }
      line += character;
    }
  }
  return [...lines, line];
}

/** The widths that fit, the widest column giving way first; null when even the narrowest do not. */
export function fitWidths(natural: readonly number[], keep: readonly boolean[], width: number): number[] | null {
  const widths = [...natural];
  const total = () => widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1);
  while (total() > width) {
    let widest = -1;
    widths.forEach((each, at) => {
      if (!keep[at] && each > leastWidth && each > (widths[widest] ?? 0)) widest = at;
    });
    if (widest === -1) return null;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

/** A table for people. Cells are made safe to print here; `width` null: as wide as it is, as for a pipe. */
export function renderTable(columns: readonly Column[], rows: Rows, width: number | null, paintTitle: PaintTitle = (text) => text): string {
  const cells = rows.map((row) => columns.map((_column, at) => visible(row[at] ?? '')));
  return (
    renderColumns(columns, cells, width, paintTitle) ??
    renderNarrow(columns, cells, width, paintTitle) ??
    cells.map((row) => renderRecord(columns, row, paintTitle)).join('\n')
  );
}

/** The columns that matter most, with a word about the others; null where nothing would be won. */
function renderNarrow(columns: readonly Column[], rows: Rows, width: number | null, paintTitle: PaintTitle): string | null {
  const kept = [...columns.keys()].filter((at) => columns[at]?.narrow !== 'drop');
  const narrowed = kept.map((at): Column => {
    const { narrow, keep, ...column } = columns[at] as Column; // one of its keys
    return { ...column, keep: keep === true && narrow !== 'wrap' };
  });
  const cells = rows.map((row) =>
    kept.map((at) => {
      const narrow = columns[at]?.narrow;
      return typeof narrow === 'function' ? narrow(row[at] ?? '') : (row[at] ?? '');
    }),
  );
  const text = renderColumns(narrowed, cells, width, paintTitle);
  const left = columns.filter(({ narrow }, at) => narrow === 'drop' && rows.some((row) => !isEmpty(row[at])));
  if (text === null || left.length === 0) return text;
  return `${text}(no room here for ${left.map(({ title }) => title).join(', ')}: widen the window, or say --json)\n`;
}

const isEmpty = (cell: string | undefined): boolean => cell === undefined || cell === '' || cell === '-';

/** Null where they do not fit. */
function renderColumns(columns: readonly Column[], cells: Rows, width: number | null, paintTitle: PaintTitle): string | null {
  const natural = columns.map((column, at) => Math.max(displayWidth(column.title), ...cells.map((row) => displayWidth(row[at] ?? ''))));
  const kept = columns.map((column) => column.keep === true);
  const widths = width === null ? natural : fitWidths(natural, kept, width);
  if (widths === null) return null;
  const table = new CliTable({
    chars,
    head: columns.map((column) => paintTitle(column.title)),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  });
  for (const row of cells) {
    table.push(
      columns.map((column, at) =>
        wrapText(row[at] ?? '', widths[at] ?? leastWidth)
          .map(column.paint ?? ((line) => line))
          .join('\n'),
      ),
    );
  }
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

/** For a terminal too narrow for the columns: one field a line, without those that say nothing. */
function renderRecord(columns: readonly Column[], row: readonly string[], paintTitle: PaintTitle): string {
  const label = Math.max(...columns.map((column) => column.title.length));
  return columns
    .flatMap((column, at) =>
      isEmpty(row[at]) ? [] : [`${paintTitle(column.title.padEnd(label))}  ${(column.paint ?? String)(row[at] ?? '')}`.trimEnd()],
    )
    .join('\n')
    .concat('\n');
}
