import type { ErrorCode } from '../../../protocol/errors.ts';
import type { Cause } from '../../restart-policy.ts';
import type { FaultAction } from './fault-actions.ts';

/**
 * What comes of a fault: how the call under way ends (null: there is none), and how the process ends (null: it goes on). Whoever tries a plugin
 * reads here what to expect; the service's own tests inject each of these and insist on it.
 */
export type FaultOutcome = { call: 'answered' | ErrorCode | null; ends: Cause | null };

const crash = (ends: Cause): FaultOutcome => ({ call: 'plugin-crashed', ends });
const gone = (ends: Cause): FaultOutcome => ({ call: null, ends });
const answered: FaultOutcome = { call: 'answered', ends: null };
const tooLate: FaultOutcome = { call: 'deadline-exceeded', ends: null };
const nothing: FaultOutcome = { call: null, ends: null };
const stopped = gone('stopped'); // however it ends: that it ends was asked for

/** `kv.put` stands for every host call, which `tool.put` makes; the rest is the supervisor's side. A child leaves when its supervisor breaks the protocol. */
export const faultTable = {
  initialize: { drop: gone('not-ready-in-time'), delay: nothing, dup: gone('exit-code'), garble: gone('exit-code'), kill: gone('signal') },
  'initialize.answer': {
    drop: gone('not-ready-in-time'),
    delay: nothing,
    dup: gone('protocol-violation'),
    garble: gone('protocol-violation'),
    kill: gone('signal'),
  },
  'tool.echo': { drop: tooLate, delay: answered, dup: crash('exit-code'), garble: crash('exit-code'), kill: crash('signal') },
  'tool.echo.answer': {
    drop: tooLate,
    delay: answered,
    dup: { call: 'answered', ends: 'protocol-violation' },
    garble: crash('protocol-violation'),
    kill: crash('signal'),
  },
  'kv.put': {
    drop: tooLate,
    delay: answered,
    dup: crash('protocol-violation'),
    garble: crash('protocol-violation'),
    deny: { call: 'capability-denied', ends: null },
    kill: crash('signal'),
  },
  'kv.put.answer': { drop: tooLate, delay: answered, dup: crash('exit-code'), garble: crash('exit-code'), kill: crash('signal') },
  ping: { drop: gone('hung'), delay: nothing, dup: gone('exit-code'), garble: gone('exit-code'), kill: gone('signal') },
  'ping.answer': {
    drop: gone('hung'),
    delay: nothing,
    dup: gone('protocol-violation'),
    garble: gone('protocol-violation'),
    kill: gone('signal'),
  },
  shutdown: { drop: stopped, delay: stopped, dup: stopped, garble: stopped, kill: stopped },
  'shutdown.answer': {
    drop: stopped,
    delay: stopped,
    dup: gone('protocol-violation'),
    garble: gone('protocol-violation'),
    kill: stopped,
  },
} as const satisfies Record<string, Partial<Record<FaultAction, FaultOutcome>>>;
