import type { Clock } from '../clock.ts';
import { chooseLevel, higher, isAtLeast, type Level, type LevelRequest, refuseInDoubt } from './levels.ts';
import type { ProbeReport } from './probe-report.ts';

/** A probe takes 0.2 s and two thirds of that of a processor: at this interval half a percent of one, and only while plugins start. */
export const reprobeMs = 30_000;

/** What a probe after the first one is made for; goes to the log. */
export type ProbeReason =
  | 'a set-up that failed'
  | 'too little for this plugin'
  | 'a probe that could not tell'
  | 'less than there could be';
export type Probed = { times: number; at: number };

/** Chooses by what the probe found, and probes again where that is too little, could be more, or was seen to hold no longer. */
export async function createProbedLevels(
  minimum: LevelRequest['minimum'],
  probe: (again: ProbeReason | null) => Promise<ProbeReport>,
  clock: Pick<Clock, 'monotonicMs' | 'wallMs'>,
) {
  let isSuspect = false;
  let probing: Promise<void> | null = null; // one at a time, for all that wait
  let probedMs = 0;
  const probed: Probed = { times: 0, at: 0 };
  let report = await probeNow(null);
  let best: Level = higher('isolated', report.available); // every host that plugins are meant for has this much

  async function probeNow(again: ProbeReason | null): Promise<ProbeReport> {
    const found = await probe(again);
    probedMs = clock.monotonicMs();
    probed.times++;
    probed.at = clock.wallMs();
    return found;
  }

  async function probeAgain(reason: ProbeReason): Promise<void> {
    isSuspect = false;
    try {
      report = await probeNow(reason);
      best = higher(best, report.available);
    } catch (error) {
      isSuspect = true; // still not known
      throw error;
    } finally {
      probing = null;
    }
  }

  type Request = Pick<LevelRequest, 'engine' | 'hostRisk'>;
  const decide = (request: Request, available: Level) => chooseLevel({ minimum, available, ...request, layers: report.layers });

  /** Whether this choice hangs on what the probe could not tell. */
  function isInDoubt(request: Request): boolean {
    const [known, hoped] = [decide(request, report.available), decide(request, report.possible)];
    return hoped.ok && !(known.ok && known.level === hoped.level);
  }

  /** A lower level than there could be was a moment's trouble, or somebody is about to mend it: later starts must not stay there for it. */
  function whyAgain(request: Request): ProbeReason | null {
    if (isSuspect) return 'a set-up that failed';
    if (isInDoubt(request)) return 'a probe that could not tell';
    if (!decide(request, report.available).ok) return 'too little for this plugin';
    const isDue = clock.monotonicMs() - probedMs >= reprobeMs;
    return isDue && !isAtLeast(report.available, best) ? 'less than there could be' : null;
  }

  return {
    report: () => report,
    probed: (): Readonly<Probed> => probed,
    /** The sandbox could not be set up although it was found whole. */
    suspect(): void {
      isSuspect = true;
    },
    async choose(engine: LevelRequest['engine'], hostRisk: boolean): Promise<{ level: Level; disableUserns: boolean }> {
      const request = { engine, hostRisk };
      const reason = whyAgain(request);
      if (reason !== null) probing ??= probeAgain(reason);
      if (probing) await probing; // what was missing may have been put right since
      if (isInDoubt(request)) throw refuseInDoubt(report.layers);
      const choice = decide(request, report.available);
      if (!choice.ok) throw choice.error;
      return { level: choice.level, disableUserns: report.disableUserns };
    },
  };
}

/** What the log says of a probe, and whether it found as much as is wanted. */
export function describeProbe({ available, possible, layers }: ProbeReport, minimum: LevelRequest['minimum'], again: ProbeReason | null) {
  const isEnough = isAtLeast(available, minimum === 'auto' ? 'isolated' : minimum);
  const missing = layers.filter((row) => !row.available).map(({ layer, detail, howToGet }) => ({ layer, detail, howToGet }));
  const fields = {
    available,
    minimum,
    ...(again === null ? {} : { again_after: again }),
    ...(possible === available ? {} : { could_not_tell: true }),
    ...(isEnough ? {} : { missing }),
  };
  return { isEnough, fields };
}
