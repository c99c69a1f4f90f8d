import { HostError } from '../../protocol/errors.ts';
import type { Cli } from './cli.ts';
import { visible } from './visible.ts';

/** One named check and how it ended: `unknown` could not be made (yet). */
export type CheckRow = { check: string; verdict: 'pass' | 'fail' | 'unknown'; rule: string | null; reason: string };

const colours = { pass: 'green', fail: 'red', unknown: 'yellow' } as const;

export const describeChecks = (cli: Cli, checks: readonly CheckRow[]): string =>
  checks
    .map(({ check, verdict, rule, reason }) => {
      const why = verdict === 'pass' || rule === null ? visible(reason) : `${visible(rule)}: ${visible(reason)}`;
      return `  ${cli.paint(colours[verdict], verdict.padEnd(8))}${check}: ${why}\n`;
    })
    .join('');

/** Prints the checks of something; one that failed makes the verb fail, with that rule. */
export async function showChecks<Value extends object>(
  cli: Cli,
  title: string,
  value: Value,
  checks: readonly CheckRow[],
  hint: string,
): Promise<void> {
  const failed = checks.find(({ verdict }) => verdict === 'fail');
  const ok = failed === undefined;
  if (ok || !cli.json) await cli.show({ ok, ...value, checks }, () => `${visible(title)}\n${describeChecks(cli, checks)}`);
  if (failed === undefined) return;
  throw new HostError('verification-failed', `${failed.rule ?? failed.check}: ${failed.reason}`, {
    ok,
    ...value,
    checks,
    rule: failed.rule,
    hint,
  });
}
