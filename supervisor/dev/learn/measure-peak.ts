import type { Clock, Timer } from '../../clock.ts';
import type { Harness } from '../harness/harness.ts';

export type Peak = { memory_mib: number | null; threads: number | null; tmp_mib: number | null; cpu_percent: number | null };

const everyMs = 200;
const higher = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.max(a, b));

/** Looks at the running child again and again, and keeps the most that was seen. */
export function measurePeak(harness: Pick<Harness, 'usage' | 'view'>, clock: Clock) {
  let peak: Peak = { memory_mib: null, threads: null, tmp_mib: null, cpu_percent: null };
  let before: { pid: number; cpuMs: number; at: number } | null = null;
  let timer: Timer | null = null;

  function look(): void {
    const usage = harness.usage();
    const pid = harness.view()?.pid ?? null;
    if (!usage || pid === null) return;
    const at = clock.monotonicMs();
    const same = before?.pid === pid ? before : null;
    const percent =
      same && usage.cpu_ms !== null && at - same.at >= everyMs / 2 ? ((usage.cpu_ms - same.cpuMs) / (at - same.at)) * 100 : null;
    if (usage.cpu_ms !== null && (!same || percent !== null)) before = { pid, cpuMs: usage.cpu_ms, at };
    peak = {
      memory_mib: higher(peak.memory_mib, usage.memory_most_mib),
      threads: higher(peak.threads, usage.threads),
      tmp_mib: higher(peak.tmp_mib, usage.tmp_mib),
      cpu_percent: higher(peak.cpu_percent, percent),
    };
  }

  function again(): void {
    timer = clock.timer(everyMs, () => {
      look();
      again();
    });
  }
  again();

  return {
    look,
    peak(): Peak {
      look();
      return peak;
    },
    stop: (): void => timer?.cancel(),
  };
}
