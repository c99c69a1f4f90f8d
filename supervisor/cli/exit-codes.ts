import { asHostError, type ErrorCode, HostError } from '../../protocol/errors.ts';

/** What a script sees of each error word. 3, not running, has a class of its own: no service answered, so there is no word. */
export const exitCodes: Readonly<Record<ErrorCode, number>> = {
  'invalid-params': 2,
  'method-not-found': 1,
  'capability-denied': 4,
  'rate-limited': 8,
  'quota-exceeded': 1,
  'deadline-exceeded': 6,
  cancelled: 1,
  'egress-blocked': 4,
  'not-found': 1,
  conflict: 7,
  'invalid-transition': 7,
  'changed-since-shown': 7,
  unavailable: 8,
  'sandbox-unavailable': 8,
  'storage-unavailable': 8,
  'plugin-crashed': 1,
  'payload-too-large': 1,
  unauthenticated: 4,
  forbidden: 4,
  'verification-failed': 5,
  internal: 1,
};

export class NotRunning extends HostError {
  constructor(message: string, cause?: unknown) {
    super(
      'unavailable',
      message,
      { rule: 'not-running', hint: 'start the service with `lattice serve`, or `npm start` in a checkout, or name it in LATTICE_URL' },
      { cause },
    );
  }
}

/** An error that the service answered, with the problem object as it came. */
export class AnsweredError extends HostError {
  readonly problem: Record<string, unknown>;
  constructor(code: ErrorCode, message: string, problem: Record<string, unknown>) {
    super(code, message, typeof problem.hint === 'string' ? { hint: problem.hint } : {});
    this.problem = problem;
  }
}

export const exitCodeOf = (thrown: unknown): number => (thrown instanceof NotRunning ? 3 : exitCodes[asHostError(thrown).code]);
