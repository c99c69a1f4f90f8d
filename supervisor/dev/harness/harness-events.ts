import type { ErrorCode, HostError } from '../../../protocol/errors.ts';
import type { Fix } from './explain-denial.ts';

export type Failure = { code: ErrorCode; message: string; details: Record<string, unknown> };
export type Outcome = { ok: true; result: unknown } | { ok: false; error: Failure };
/** Who answered a host call: the broker by refusing, a line of the fixture, or the mock that behaves like the real handler. */
export type AnsweredBy = 'broker' | 'fixture' | 'mock';

/** What a harness tells while it runs; secrets are taken out of all of it. `at`: milliseconds since it was opened. */
export type HarnessEvent = { at: number } & (
  | { kind: 'build'; ok: boolean; ms: number; detail: string; running: boolean }
  | { kind: 'state'; from: string; to: string; generation: number | null; message: string | null }
  | { kind: 'host-call'; id: number; method: string; params: unknown }
  | {
      kind: 'host-answer';
      id: number;
      method: string;
      params: unknown;
      verdict: 'allow' | 'deny';
      by: AnsweredBy;
      ms: number;
      outcome: Outcome;
      /** The lines of plugin.json that would change a refusal. */
      fixes: readonly Fix[];
    }
  | { kind: 'paused'; id: number; method: string; params: unknown }
  | { kind: 'invoke'; id: number; method: string; payload: unknown }
  | { kind: 'answer'; id: number; method: string; ms: number; outcome: Outcome }
  | { kind: 'progress'; id: number; method: string; value: unknown }
  | { kind: 'log'; source: 'plugin' | 'stderr' | 'stray' | 'supervisor'; level: string; text: string }
  | { kind: 'notification'; channel: string; title: string; text: string; severity: string }
  | { kind: 'message'; direction: 'in' | 'out'; message: unknown; bytes: number }
  | { kind: 'fault'; fault: string; step: string }
  | { kind: 'note'; level: 'info' | 'warn'; text: string }
);
type Untimed<E> = E extends unknown ? Omit<E, 'at'> : never;
export type NewEvent = Untimed<HarnessEvent>;

export const asFailure = ({ code, message, details }: HostError): Failure => ({ code, message, details: { ...details } });
