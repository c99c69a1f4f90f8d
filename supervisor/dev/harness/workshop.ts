import { createRealClock } from '../../clock.ts';
import type { Log } from '../../log.ts';
import { openSubprocessRunner } from '../../open-subprocess-runner.ts';
import type { Runner } from '../../runner.ts';

/** What all harnesses of a process share: the tools found, the sandbox tried, the child's runner built. It takes about a second. */
export type Workshop = { runner: Runner; warnings: readonly string[] };

export async function openWorkshop({ warmChildren = 0 } = {}): Promise<Workshop> {
  const warnings: string[] = [];
  const warn: Log['warn'] = (_event, fields = {}) => {
    const missing = Array.isArray(fields.missing) ? (fields.missing as { layer: string; howToGet: string }[]) : []; // as the probe reports it
    warnings.push(
      `the sandbox is ${String(fields.available)}, weaker than on a server: ${missing.map((row) => `${row.layer} (${row.howToGet})`).join('; ')}`,
    );
  };
  const log: Log = { debug: () => {}, info: () => {}, warn, error: () => {} };
  const runner = await openSubprocessRunner({ sandbox: 'auto', warmChildren }, log, { clock: createRealClock(), startedBySystemd: false });
  return { runner, warnings };
}
