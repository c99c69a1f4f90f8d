import type { Timers } from './deadlines.ts';

/**
 * What the supervisor does for one child on its one event loop, in nominal nanoseconds: fixed prices, so that a slow machine or a busy moment is not
 * charged to a plugin. They were measured on the dearest input that could be found for each, with what the garbage collector makes of it.
 */
export const costs = {
  chunk: 10_000, // one read
  byte: 1, // scanning, decoding, copying; of what is sent: encoding
  stepped: 4, // one that no search passes over, outside a string or behind an escape: looked at by the scanner and by the parser
  decoded: 1, // one of a line that is not ASCII
  message: 1_500,
  value: 60, // one bracket, comma or colon: parsed, and looked at again for keys given twice
  string: 150, // one more than a usual message has, keys among them: V8 looks for those it has met
  key: 800, // one more than that: keys that V8 has not met in this order are a new kind of object each
  escapedKey: 1_400, // and one that may hold a backslash: read again by ourselves, see parse-json.ts
  request: 10_000, // deciding, recording, answering
  lookedAt: 100, // one value of a line of very many, checked and not kept
  built: 400, // and kept: what lives until the line is whole costs the collector most
  event: 5_000, // what is told to somebody who listens, beside as much again as it cost to read: made text again, and written
  logLine: 5_000, // one line of a plugin's log: encoded, and handed to those who follow it
  logByte: 10,
  thrownByte: 6, // read and dropped: the copy is cheap, but its buffer is the collector’s to find
} as const;

/** The usual host call has no more, its envelope's among them. What these cost is in the price of the request. */
export const usual = { keys: 6, strings: 12 } as const;

/**
 * The share of one child. A whole event loop has a thousand million nanoseconds a second: at a tenth, one that floods leaves its neighbours nine
 * tenths, while all that the default rates let an honest plugin ask for needs a fiftieth. A turn is short beside the time that one call to a
 * plugin takes, so that a neighbour that waits for a turn to end hardly sees it.
 */
export const childShare: WorkShare = { perTurn: 200_000, perSecond: 100_000_000, burst: 50_000_000 };

/** An operator who allows more calls means them to be answered: the share is never less than twice what they cost. */
export function shareFor(rates: Readonly<Record<string, { perSecond: number }>>): WorkShare {
  const callsPerSecond = Object.values(rates).reduce((sum, { perSecond }) => sum + perSecond, 0);
  const perSecond = Math.max(childShare.perSecond, 2 * callsPerSecond * costs.request);
  return { ...childShare, perSecond, burst: perSecond / 2 };
}

/** Of an end that trusts the other: it only lets its event loop turn to other things now and then. */
export const openShare: WorkShare = { perTurn: 2_000_000, perSecond: Number.POSITIVE_INFINITY, burst: Number.POSITIVE_INFINITY };

export type WorkShare = { perTurn: number; perSecond: number; burst: number };

/** Counts the work done for one child: a bounded piece between two turns of the event loop, and a token bucket over time. */
export function createWorkMeter({ monotonicMs }: Pick<Timers, 'monotonicMs'>, share: WorkShare) {
  let turnLeft = share.perTurn;
  let left = share.burst;
  let filledAt = monotonicMs();

  /** Only looked at when all is spent: a child within its share costs no look at the clock. */
  function fill(): void {
    const now = monotonicMs();
    left = Math.min(share.burst, left + ((now - filledAt) / 1000) * share.perSecond);
    filledAt = now;
  }

  return {
    spend(work: number): void {
      left -= work;
      turnLeft -= work;
    },
    isTurnOver: (): boolean => turnLeft <= 0,
    beginTurn(): void {
      turnLeft = share.perTurn;
    },
    /** How long to do nothing for this child; 0 while it has something left. */
    waitMs(): number {
      if (left > 0) return 0;
      fill();
      return left > 0 ? 0 : Math.ceil((-left / share.perSecond) * 1000) || 1;
    },
  };
}

export type WorkMeter = ReturnType<typeof createWorkMeter>;
