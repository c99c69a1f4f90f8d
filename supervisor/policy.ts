import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { RateClass } from '../protocol/host-methods.ts';
import type { Resources } from '../protocol/manifest.ts';
import { plainly } from '../protocol/plain-words.ts';
import { parseStrict } from '../protocol/strict-json.ts';
import type { Rate } from './rate-limiter.ts';

const rate = z.strictObject({ per_second: z.number().positive().max(1e6), burst: z.int().min(1).max(1_000_000) });

export const marketDefaults = { maxAgeDays: 90 } as const;

const schema = z.strictObject({
  ceilings: z
    .strictObject({
      memory_mib: z.int().min(16).default(1024),
      cpu_percent: z.int().min(1).default(400),
      pids: z.int().min(1).default(256),
      tmp_mib: z.int().min(1).default(256),
    })
    .prefault({}),
  kv: z
    .strictObject({
      keys: z.int().min(1).default(10_000),
      bytes: z
        .int()
        .min(1)
        .default(16 * 1024 * 1024),
    })
    .prefault({}),
  rates: z.strictObject({ read: rate, effect: rate, fetch: rate, notify: rate, log: rate }).partial().prefault({}),
  logs: z
    .strictObject({
      run_bytes: z
        .int()
        .min(4096)
        .default(1024 * 1024),
      runs: z.int().min(1).max(100).default(10),
    })
    .prefault({}),
  audit: z.strictObject({ retain_days: z.int().min(1).max(36_500).nullable().default(null) }).prefault({}),
  market: z.strictObject({ max_age_days: z.int().min(1).max(3650).default(marketDefaults.maxAgeDays) }).prefault({}),
});

export type Policy = Readonly<{
  ceilings: Resources; // what a manifest's `resources` may ask for at most
  kv: { keys: number; bytes: number }; // per plugin
  rates: Readonly<Record<RateClass, Rate>>;
  logs: { runBytes: number; runs: number }; // per plugin
  audit: { retainDays: number | null }; // null: every row is kept
  market: { maxAgeDays: number }; // of an index that does not say itself until when it is good
}>;

/** Reads the operator's policy file (`LATTICE_POLICY`); without one, the defaults. Throws an Error that names the JSON pointer. */
export function readPolicy(file: string | null, defaults: Readonly<Record<RateClass, Rate>>): Policy {
  const parsed = file === null ? ({ ok: true, value: {} } as const) : parseStrict(readFileSync(file));
  if (!parsed.ok) throw new Error(parsed.detail);
  const checked = schema.safeParse(parsed.value, plainly);
  if (!checked.success) throw new Error(checked.error.issues.map((issue) => `/${issue.path.join('/')}: ${issue.message}`).join('; '));
  const { ceilings, kv, rates, logs, audit, market } = checked.data;
  const given = Object.entries(rates).map(([name, row]) => [name, { perSecond: row?.per_second, burst: row?.burst }]);
  return {
    ceilings,
    kv,
    rates: { ...defaults, ...Object.fromEntries(given) },
    logs: { runBytes: logs.run_bytes, runs: logs.runs },
    audit: { retainDays: audit.retain_days },
    market: { maxAgeDays: market.max_age_days },
  };
}
