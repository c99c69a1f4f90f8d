type Edit = { mark: ' ' | '-' | '+'; line: string };

const context = 3;

/** The difference of two short texts as `diff -u` shows it; empty when there is none. */
export function unifiedDiff(name: string, before: string, after: string): string {
  const edits = listEdits(splitLines(before), splitLines(after));
  const changed = edits.flatMap(({ mark }, at) => (mark === ' ' ? [] : [at]));
  if (changed.length === 0) return '';
  const hunks: [number, number][] = [];
  for (const at of changed) {
    const last = hunks.at(-1);
    if (last && at - context <= last[1] + 1) last[1] = Math.min(edits.length - 1, at + context);
    else hunks.push([Math.max(0, at - context), Math.min(edits.length - 1, at + context)]);
  }
  return [`--- a/${name}`, `+++ b/${name}`, ...hunks.flatMap(([from, to]) => writeHunk(edits, from, to)), ''].join('\n');
}

const splitLines = (text: string): string[] => text.replace(/\n$/, '').split('\n');

function writeHunk(edits: readonly Edit[], from: number, to: number): string[] {
  const count = (rows: readonly Edit[], without: Edit['mark']) => rows.filter(({ mark }) => mark !== without).length;
  const rows = edits.slice(from, to + 1);
  const head = edits.slice(0, from);
  const range = (without: Edit['mark']) => `${count(head, without) + 1},${count(rows, without)}`;
  return [`@@ -${range('+')} +${range('-')} @@`, ...rows.map(({ mark, line }) => `${mark}${line}`)];
}

/** By the longest common subsequence: quadratic, for manifests. */
function listEdits(before: readonly string[], after: readonly string[]): Edit[] {
  const width = after.length + 1;
  const lengths = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      lengths[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const edits: Edit[] = [];
  for (let i = 0, j = 0; i < before.length || j < after.length; ) {
    const [removed, added] = [before[i], after[j]];
    if (removed !== undefined && removed === added) {
      edits.push({ mark: ' ', line: removed });
      i++;
      j++;
    } else if (removed !== undefined && (added === undefined || at(i + 1, j) >= at(i, j + 1))) {
      edits.push({ mark: '-', line: removed });
      i++;
    } else if (added !== undefined) {
      edits.push({ mark: '+', line: added });
      j++;
    }
  }
  return edits;
}
