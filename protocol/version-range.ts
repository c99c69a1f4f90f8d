// The small version language of public manifests: comparators joined by commas or spaces, all of which must hold.
const comparator = /^(>=|<=|==|!=|=|>|<)?[\t\n\f\r ]*([0-9]+(?:\.[0-9]+){0,2}(?:-[0-9A-Za-z.-]+)?)$/;
const largest = 2n ** 63n - 1n;

const numberOf = (text: string): bigint | null => {
  const value = /^[+-]?[0-9]+$/.test(text) ? BigInt(text.replace('+', '')) : null;
  return value !== null && value <= largest && value >= -largest - 1n ? value : null;
};

/** A part that is no number counts as 0, one that is too large as the largest: any text has a place in the order. */
const coreOf = (text: string): bigint => numberOf(text) ?? (/^\+?[0-9]+$/.test(text) ? largest : 0n);

function split(version: string): { core: bigint[]; prerelease: string[] | null } {
  const text = version.replace(/^v/, '').trim();
  const dash = text.indexOf('-');
  const core = (dash === -1 ? text : text.slice(0, dash)).split('.').map(coreOf);
  const prerelease = dash === -1 ? '' : text.slice(dash + 1);
  return { core, prerelease: prerelease === '' ? null : prerelease.split('.') };
}

const order = <T extends bigint | string>(a: T, b: T): number => (a === b ? 0 : a < b ? -1 : 1);

function comparePrerelease(a: readonly string[], b: readonly string[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [left, right] = [a[at], b[at]];
    if (left === undefined) return -1;
    if (right === undefined) return 1;
    if (left === right) continue;
    const [x, y] = [numberOf(left), numberOf(right)];
    const result = x !== null && y !== null ? order(x, y) : x !== null ? -1 : y !== null ? 1 : order(left, right);
    if (result !== 0) return result;
  }
  return 0;
}

/** Orders any two version texts: by their numbers, a release after its prereleases. Never throws. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  for (let at = 0; at < Math.max(left.core.length, right.core.length); at++) {
    const result = order(left.core[at] ?? 0n, right.core[at] ?? 0n);
    if (result !== 0) return result;
  }
  if (left.prerelease === null || right.prerelease === null) return Number(left.prerelease === null) - Number(right.prerelease === null);
  return comparePrerelease(left.prerelease, right.prerelease);
}

const termsOf = (range: string): string[] => (range.trim() === '*' ? [] : range.split(/[, ]/).filter((term) => term !== ''));

/** The first term that is none, or null when the range is well formed. */
export const faultOfRange = (range: string): string | null => termsOf(range.trim()).find((term) => !comparator.test(term)) ?? null;

const holds: Readonly<Record<string, (comparison: number) => boolean>> = {
  '': (c) => c === 0,
  '=': (c) => c === 0,
  '==': (c) => c === 0,
  '!=': (c) => c !== 0,
  '>=': (c) => c >= 0,
  '<=': (c) => c <= 0,
  '>': (c) => c > 0,
  '<': (c) => c < 0,
};

/** Whether a version is in a range; false when the range is not well formed. */
export const isInRange = (version: string, range: string): boolean =>
  termsOf(range.trim()).every((term) => {
    const match = comparator.exec(term);
    return match !== null && (holds[match[1] ?? '']?.(compareVersions(version, match[2] ?? '')) ?? false);
  });
