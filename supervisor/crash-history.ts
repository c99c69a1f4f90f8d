import type { Clock } from './clock.ts';
import type { ExitRecord, Health } from './plugin-store.ts';
import { recentCrashes } from './restart-policy.ts';
import { type Conclusion, concludeRun, type RunRecord } from './run-record.ts';
import type { Exit } from './runner.ts';

type Circumstances = { generation: number; stopping: boolean; wantedRunning: boolean };

/**
 * What one plugin's runs ended by, and the crashes that count. They are counted in wall time as it would be had nobody set the clock since;
 * only what is stored follows the clock on the wall.
 */
export function createCrashHistory({ clock, health: stored, save }: { clock: Clock; health: Health; save(health: Health): void }) {
  const bootWallMs = clock.wallMs() - clock.monotonicMs();
  const steadyMs = () => Math.round(bootWallMs + clock.monotonicMs());
  let health: Health = { ...stored, crashTimesMs: stored.crashTimesMs.map((at) => Math.min(at, steadyMs())) };

  function keep(next: Health): void {
    health = next;
    const jumpMs = clock.wallMs() - steadyMs();
    save({ ...health, crashTimesMs: health.crashTimesMs.map((at) => Math.round(at + jumpMs)) });
  }

  return {
    recent: (): number => recentCrashes(health.crashTimesMs, steadyMs()).length,
    /** Whether the budget of crashes is spent. */
    isBroken: (): boolean => health.broken,
    exits: (): readonly ExitRecord[] => health.exits,
    /** Judges an end; it counts once it is kept. */
    conclude: (record: RunRecord, exit: Exit, circumstances: Circumstances): Conclusion =>
      concludeRun(record, exit, { ...circumstances, health, clock, nowMs: steadyMs() }),
    keep,
    clear: (): void => keep({ ...health, crashTimesMs: [], broken: false }),
  };
}
