const mostCharacters = 64; // what is longer is no misspelling of a name

/** The name that a misspelt one was meant to be: at most a third of its letters are wrong; null when none is that near. */
export function findNearest(text: string, names: readonly string[]): string | null {
  if (text.length > mostCharacters) return null;
  const most = Math.max(1, Math.floor(text.length / 3));
  const ranked = names.map((name) => ({ name, steps: countSteps(text, name) })).filter(({ steps }) => steps <= most);
  return ranked.sort((a, b) => a.steps - b.steps)[0]?.name ?? null;
}

/** How many letters have to be added, removed, replaced or swapped with the next to make one of the other. */
function countSteps(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const kept = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      next.push(Math.min(kept, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, isSwapped ? (before[j - 2] ?? 0) + 1 : kept));
    }
    [before, row] = [row, next];
  }
  return row[to.length] ?? 0;
}

export const suggest = (text: string, names: readonly string[]): string => {
  const nearest = findNearest(text, names);
  return nearest === null ? '' : `; did you mean "${nearest}"?`;
};
