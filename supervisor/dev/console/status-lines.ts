import type { Harness } from '../harness/harness.ts';
import { keysHelp } from './commands.ts';
import type { Paint } from './describe-event.ts';

export type Counts = { calls: number; hostCalls: number; denied: number };

/** What stands at the bottom of the terminal: state, budgets, keys. */
export function describeStatus(harness: Harness, counts: Counts, paint: Paint): string[] {
  const state = harness.state();
  const view = harness.view();
  const colour = state === 'ready' ? 'green' : state === 'failed' || state === 'backoff' ? 'red' : 'yellow';
  const parts = [
    paint(colour, `● ${harness.isPaused() ? 'paused' : state}`),
    view?.generation ? `gen ${view.generation}` : '',
    view?.sandbox ?? harness.level,
    describeBudgets(harness),
    `calls ${counts.calls}  host calls ${counts.hostCalls}${counts.denied > 0 ? paint('red', `  denied ${counts.denied}`) : ''}`,
  ];
  return [parts.filter((part) => part !== '').join(paint('dim', ' │ ')), paint('dim', keysHelp)];
}

function describeBudgets(harness: Harness): string {
  const usage = harness.usage();
  const limits = harness.limits();
  if (!usage || !limits) return '';
  const shares = [
    usage.memory_mib === null ? '' : `memory ${Math.round(usage.memory_mib)}/${limits.memory_mib} MiB`,
    usage.threads === null ? '' : `threads ${usage.threads}/${limits.pids}`,
    usage.tmp_mib === null ? '' : `tmp ${usage.tmp_mib}/${limits.tmp_mib} MiB`,
    usage.cpu_ms === null ? '' : `cpu ${(usage.cpu_ms / 1000).toFixed(1)} s`,
  ];
  return shares.filter((part) => part !== '').join('  ');
}
