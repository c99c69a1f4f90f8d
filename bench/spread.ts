import { quantile } from './neighbour.ts';

/** The middle of all rounds, and what lies between the worst and best tenth of them. */
export type Spread = { median: number; low: number; high: number };

export const spread = (values: readonly number[]): Spread => ({
  median: quantile(values, 0.5) ?? Number.NaN,
  low: quantile(values, 0.1) ?? Number.NaN,
  high: quantile(values, 0.9) ?? Number.NaN,
});

/** With a word in between: a dash would look like a sign. */
export const showRange = ({ low, high }: Spread, digits = 0): string => `${low.toFixed(digits)} to ${high.toFixed(digits)}`;

/** Two cells of a table. */
export const showSpread = (all: Spread, digits = 0): [string, string] => [all.median.toFixed(digits), showRange(all, digits)];

/** What one thing takes more than another. Where some rounds say that it takes less, the machine's own ups and downs are larger than it. */
export const showMore = (more: Spread, digits = 0): [string, string] =>
  more.low > 0 ? showSpread(more, digits) : ['-', 'lost in the noise'];

/** Each round against the other of the same round. */
export const ratios = (values: readonly number[], base: readonly number[]): Spread =>
  spread(values.map((value, round) => value / (base[round] ?? Number.NaN)));
