import { quantile } from './neighbour.ts';

/** The middle of all rounds, and what lies between the worst and best tenth of them. */
export type Spread = { median: number; low: number; high: number };

export const spread = (values: readonly number[]): Spread => ({
  median: quantile(values, 0.5) ?? Number.NaN,
  low: quantile(values, 0.1) ?? Number.NaN,
  high: quantile(values, 0.9) ?? Number.NaN,
});

/** Two cells of a table. */
export const showSpread = ({ median, low, high }: Spread, digits = 0): [string, string] => [
  median.toFixed(digits),
  `${low.toFixed(digits)}-${high.toFixed(digits)}`,
];

/** Each round against the other of the same round. */
export const ratios = (values: readonly number[], base: readonly number[]): Spread =>
  spread(values.map((value, round) => value / (base[round] ?? Number.NaN)));
