import { asHostError } from '../protocol/errors.ts';
import type { Clock } from './clock.ts';
import type { RunRecord } from './run-record.ts';

const notHeard: ReadonlySet<string> = new Set(['cancelled', 'plugin-crashed', 'rate-limited']);

/** Notes of a run when it last answered anything, and which calls it owes an answer: a plugin that is busy with one thing answers nothing at all. */
export function hear(record: RunRecord, clock: Clock): void {
  record.lastAnswerMs = clock.monotonicMs();
  record.callsGivenUp = 0;
}

/** Follows one call to its end. It makes the two functions that the caller hands to `then` anyway. */
export function listen(record: RunRecord, clock: Clock, rethrow: (thrown: unknown) => never) {
  record.callsOpen++;
  return {
    answered<Answer>(answer: Answer): Answer {
      record.callsOpen--;
      hear(record, clock);
      return answer;
    },
    failed(thrown: unknown): never {
      record.callsOpen--;
      const { code, details } = asHostError(thrown);
      if (code === 'deadline-exceeded' && details.rule === 'no-answer') record.callsGivenUp++;
      else if (!notHeard.has(code)) hear(record, clock);
      return rethrow(thrown);
    },
  };
}

/** What is owed, and since when nothing came; null when nothing is owed. */
export const viewOwed = ({ callsOpen, callsGivenUp, lastAnswerMs }: RunRecord, clock: Clock) =>
  callsOpen + callsGivenUp === 0
    ? null
    : { calls_open: callsOpen, calls_given_up: callsGivenUp, last_answer_ms: Math.round(clock.monotonicMs() - lastAnswerMs) };
