import type { OutboxRow } from './outbox.ts';

export const deliveryLimits = {
  attemptMs: 15_000,
  inFlight: 16,
  inFlightPerPlugin: 2, // so that one plugin's dead receiver holds two places, not all
  firstPauseMs: 1000,
  mostPauseMs: 3_600_000,
  jitter: 0.2,
  giveUpAfterMs: 24 * 3_600_000,
  attemptsAtLeast: 12,
  troubleMs: 5000, // pause when the database does not answer
  pruneEveryMs: 3_600_000,
} as const;

/** The pause after so many failed attempts (1: the first failed). `chance` is from 0 up to 1 and spreads retries by a fifth either way. */
export function pauseAfter(failures: number, chance: number): number {
  const { firstPauseMs, mostPauseMs, jitter } = deliveryLimits;
  const base = Math.min(mostPauseMs, firstPauseMs * 2 ** Math.min(Math.max(failures, 1) - 1, 31));
  return Math.round(base * (1 + jitter * (2 * chance - 1)));
}

/** A message is given up after a day, but not before it had its attempts: the service may have been down for that day. */
export function isExhausted(ageMs: number, attempts: number): boolean {
  return ageMs >= deliveryLimits.giveUpAfterMs && attempts >= deliveryLimits.attemptsAtLeast;
}

/**
 * Chooses the messages to send now: one of each plugin in turn, beginning after the plugin that was served last, within the places that are
 * free. `due` has each plugin's messages in the order they are to go.
 */
export function pickFair(due: readonly OutboxRow[], inFlight: readonly string[], lastPlugin: string | null): OutboxRow[] {
  const running = new Map<string, number>();
  for (const plugin of inFlight) running.set(plugin, (running.get(plugin) ?? 0) + 1);
  const queues = Map.groupBy(due, (row) => row.plugin);
  const plugins = [...queues.keys()].sort();
  const first = plugins.findIndex((plugin) => lastPlugin === null || plugin > lastPlugin);
  const turns = first === -1 ? plugins : [...plugins.slice(first), ...plugins.slice(0, first)];
  const picked: OutboxRow[] = [];
  for (let round = 0; round < deliveryLimits.inFlightPerPlugin; round++) {
    for (const plugin of turns) {
      const row = queues.get(plugin)?.[round];
      const busy = running.get(plugin) ?? 0;
      if (row === undefined || busy >= deliveryLimits.inFlightPerPlugin || inFlight.length + picked.length >= deliveryLimits.inFlight)
        continue;
      picked.push(row);
      running.set(plugin, busy + 1);
    }
  }
  return picked;
}
