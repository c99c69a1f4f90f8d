import type { Config } from './read-config.ts';
import { type Alert, type Feed, type State, stateLimits } from './state.ts';
import { writeHeldBackAlert } from './write-alert.ts';

type Write = (ref: string) => Pick<Alert, 'title' | 'text'>;

const hourMs = 3_600_000;

/** Puts an alert among the pending. When too many wait, the oldest that is not about a login gives way. */
export function raise(state: State, kind: Alert['kind'], write: Write): void {
  const ref = `ssh-${++state.sequence}`;
  state.pending.push({ ref, kind, ...write(ref) });
  state.counters.alerts++;
  if (state.pending.length <= stateLimits.pending) return;
  const least = state.pending.findIndex((alert) => alert.kind !== 'login');
  state.pending.splice(Math.max(0, least), 1);
  state.counters.alerts_dropped++;
}

/** Bursts are easy to make from many addresses: beyond so many an hour they are only counted, and one message says so. */
export function raiseBurst(state: State, feed: Feed, { burstAlertsPerHour: most }: Config, write: Write): void {
  if (feed.nowMs - feed.hourMs >= hourMs) {
    feed.hourMs = feed.nowMs;
    feed.burstAlerts = 0;
  }
  feed.burstAlerts++;
  if (feed.burstAlerts <= most) raise(state, 'failures', write);
  else if (feed.burstAlerts === most + 1) raise(state, 'held-back', (ref) => writeHeldBackAlert(most, ref));
}
