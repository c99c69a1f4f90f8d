import { chooseLevel, type Level, type LevelRequest } from './levels.ts';
import type { ProbeReport } from './probe-report.ts';

/** Chooses by what the probe found, and probes again where that is too little or was seen to hold no longer. */
export async function createProbedLevels(minimum: LevelRequest['minimum'], probe: () => Promise<ProbeReport>) {
  let report = await probe();
  let isSuspect = false;
  let probing: Promise<void> | null = null; // one at a time, for all that wait

  async function probeAgain(): Promise<void> {
    isSuspect = false;
    try {
      report = await probe();
    } catch (error) {
      isSuspect = true; // still not known
      throw error;
    } finally {
      probing = null;
    }
  }

  return {
    report: () => report,
    /** The sandbox could not be set up although it was found whole. */
    suspect(): void {
      isSuspect = true;
    },
    async choose(engine: LevelRequest['engine'], hostRisk: boolean): Promise<{ level: Level; disableUserns: boolean }> {
      const decide = () => chooseLevel({ minimum, available: report.available, engine, hostRisk, layers: report.layers });
      let choice = decide();
      if (!choice.ok || isSuspect || probing) {
        probing ??= probeAgain();
        await probing; // what was missing may have been put right since
        choice = decide();
      }
      if (!choice.ok) throw choice.error;
      return { level: choice.level, disableUserns: report.disableUserns };
    },
  };
}
