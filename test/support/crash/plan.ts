import type { Failpoint } from '../../../supervisor/failpoints.ts';
import type { Op } from './lanes.ts';
import type { End } from './lives.ts';

type Place = { wanted?: readonly Op[]; fromStart?: boolean; withChildren?: boolean; most?: number };

/** What has to be asked so that a failpoint is reached; most are reached by whatever is asked. `most`: up to which time it is let pass. */
const places: Partial<Record<Failpoint, Place>> = {
  'database.made': { fromStart: true, most: 1 },
  'database.marked': { fromStart: true, most: 1 },
  'migration.applied': { fromStart: true },
  'migration.committed': { fromStart: true },
  'token.written': { fromStart: true, most: 1 },
  'token.recorded': { fromStart: true, most: 1 },
  'token.named': { fromStart: true, most: 1 },
  'audit.closed': { fromStart: true, most: 1 },
  'audit.decided': { wanted: ['fetch'], withChildren: true },
  'audit.acted': { wanted: ['fetch'], withChildren: true },
  'host.answer': { wanted: ['call-put', 'notify'], withChildren: true },
  'outbox.queued': { wanted: ['notify'], withChildren: true },
  'outbox.sent': { wanted: ['notify'], withChildren: true },
  'outbox.settled': { wanted: ['notify'], withChildren: true },
  'plugin.changed': { wanted: ['status'], most: 2 },
  'plugin.consented': { wanted: ['upgrade'], most: 2 },
  'plugin.superseded': { wanted: ['upgrade'], most: 2 },
  'plugin.recorded': { wanted: ['status'], most: 2 },
  'plugin.armed': { wanted: ['status'], most: 2 },
  'exchange.begun': { wanted: ['status', 'upgrade'], most: 1 },
  'exchange.proved': { wanted: ['status', 'upgrade'], most: 1 },
  'exchange.accepted': { wanted: ['status', 'upgrade'], most: 1 },
  'exchange.served': { wanted: ['status', 'upgrade'], most: 1 },
  'staging.copied': { wanted: ['offer'], most: 2 },
  'staging.filled': { wanted: ['offer'], most: 2 },
  'staging.sealed': { wanted: ['offer'], most: 2 },
  'staging.named': { wanted: ['offer'], most: 2 },
  'staging.durable': { wanted: ['offer'], most: 2 },
  'staging.doomed': { wanted: ['offer'], most: 2 },
};
/** Reached only in the first starts, in this order, and after a crash with a decision open: the others may come in any. */
const first: readonly Failpoint[] = [
  'database.made',
  'database.marked',
  'migration.applied',
  'migration.committed',
  'token.written',
  'token.recorded',
  'token.named',
  'audit.decided',
  'audit.closed',
];

export type Planned = { name: Failpoint; end: End; withChildren: boolean };

/** One life for each failpoint. */
export function planOf(names: readonly Failpoint[], random: () => number): Planned[] {
  const rest = names.filter((name) => !first.includes(name));
  return [...first.filter((name) => names.includes(name)), ...rest].map((name) => {
    const { wanted = [], fromStart = false, withChildren = false, most = 4 } = places[name] ?? {};
    const times = 1 + Math.floor(random() * most);
    return { name, withChildren, end: { at: name, times, fromStart, wanted, asksMost: 300 } };
  });
}
