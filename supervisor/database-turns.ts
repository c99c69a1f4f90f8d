import type { Timers } from '../protocol/deadlines.ts';
import { childShare, createWorkMeter, openShare, type WorkMeter, type WorkShare } from '../protocol/work.ts';
import { createTurns, type Pieces, type Turns } from './turns.ts';

/**
 * Who may read from the one connection, and when. Statements run one after the other, so of each kind one waits there at most, and whoever
 * comes waits for these and not for all that one plugin asks for at once.
 */
export type DatabaseTurns = {
  /** What plugins look up: short, but what is found is taken apart on the event loop, so each has its share of that. */
  lookUps: Turns;
  /** The walks of plugins through the audit, for which all of them have one share together: they use a processor, and hold nobody up. */
  pluginWalks: Turns;
  /** Those of operators, each in turn with the others. */
  walkForOperator<Result>(signal: AbortSignal, pieces: Pieces<Result>): Promise<Result>;
};

/** Nominal, like all work that is done for a plugin, in nanoseconds. Measured: what a row costs the event loop with its answer, and the processor to walk past. */
export const readCosts = { listedEntry: 1_000, auditRow: 2_500, walkedRow: 200 } as const;
/** A quarter of one processor. */
const walkShare: WorkShare = { perTurn: Number.POSITIVE_INFINITY, perSecond: 250_000_000, burst: 50_000_000 };

export function createDatabaseTurns(timers: Timers): DatabaseTurns {
  const walks = createWorkMeter(timers, walkShare);
  const open = createWorkMeter(timers, openShare);
  const operatorWalks = createTurns({ timers, meterOf: () => open });
  let asked = 0;
  return {
    lookUps: createTurns({ timers, meterOf: createMeters(timers) }),
    pluginWalks: createTurns({ timers, meterOf: () => walks }),
    walkForOperator: (signal, pieces) => operatorWalks.run(String(++asked), signal, pieces),
  };
}

/** One for each owner: as many as there are ids of plugins that read. */
function createMeters(timers: Timers): (owner: string) => WorkMeter {
  const meters = new Map<string, WorkMeter>();
  return (owner) => {
    const meter = meters.get(owner) ?? createWorkMeter(timers, childShare);
    meters.set(owner, meter);
    return meter;
  };
}
