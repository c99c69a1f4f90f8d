import type { ErrorCode, ErrorDetails } from '../protocol/errors.ts';

/** A plugin's artifact holds a copy of these classes and the runner another: `instanceof` goes by this mark, not by the copy. */
const mark = Symbol.for('lattice.plugin-error');

type Sorts = readonly string[];
const sortsOf = (value: unknown): Sorts =>
  typeof value === 'object' && value !== null && mark in value ? ((value as { [mark]: Sorts })[mark] ?? []) : [];

/** For a class of the author's own the prototype decides, as ever. */
function hasInstance(this: { readonly sort: string }, value: unknown): boolean {
  return Object.hasOwn(this, 'sort') ? sortsOf(value).includes(this.sort) : Function.prototype[Symbol.hasInstance].call(this, value);
}

/** An error with one of the words that the API knows: thrown by a service method, its caller gets the word and the text. */
export class PluginError extends Error {
  /** Which class this is, whatever a minifier calls it. */
  static readonly sort: string = 'PluginError';
  static override readonly [Symbol.hasInstance] = hasInstance;
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
    const sorts: string[] = [];
    for (let known = new.target as typeof PluginError; known.sort !== undefined; known = Object.getPrototypeOf(known))
      sorts.push(known.sort);
    this.name = new.target.sort;
    Object.defineProperty(this, mark, { value: sorts });
  }
}

/** Thrown by `onStart`: the plugin is not started again until the operator has changed its settings. */
export class ConfigurationError extends PluginError {
  static override readonly sort = 'ConfigurationError';
  constructor(message: string, options?: ErrorOptions) {
    super('invalid-params', message, {}, options);
  }
}

/** A host call was refused or failed. The classes below are the answers that a plugin is likely to treat apart; all others have this one. */
export class HostCallError extends PluginError {
  static override readonly sort: string = 'HostCallError';
  readonly method: string;
  constructor(method: string, code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(code, message, details);
    this.method = method;
  }
  /** What would help, where the supervisor knows. */
  get hint(): string | undefined {
    return textOf(this.details.hint);
  }
}

/** The manifest lacks the capability: `line` is what to add at `pointer`. */
export class CapabilityDeniedError extends HostCallError {
  static override readonly sort = 'CapabilityDeniedError';
  get pointer(): string | undefined {
    return textOf(this.details.pointer);
  }
  get line(): string | undefined {
    return textOf(this.details.line);
  }
}

/** Too many calls: over the rate of the method, or over the number in flight. */
export class RateLimitedError extends HostCallError {
  static override readonly sort = 'RateLimitedError';
  get retryAfterMs(): number {
    const wait = this.details.retry_after_ms;
    return typeof wait === 'number' ? wait : 1000;
  }
}

/** `if_revision` did not hold: read again, decide again. */
export class ConflictError extends HostCallError {
  static override readonly sort = 'ConflictError';
}
/** The store is full for this plugin. */
export class QuotaExceededError extends HostCallError {
  static override readonly sort = 'QuotaExceededError';
}
/** The address is not in the manifest's `egress`, or is not a public one. */
export class EgressBlockedError extends HostCallError {
  static override readonly sort = 'EgressBlockedError';
}
/** The answer did not come in time. Whether the effect happened is not known. */
export class DeadlineExceededError extends HostCallError {
  static override readonly sort = 'DeadlineExceededError';
}
/** The signal that was passed is aborted, or the plugin is being stopped. */
export class CancelledError extends HostCallError {
  static override readonly sort = 'CancelledError';
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const classes: Partial<Record<ErrorCode, typeof HostCallError>> = {
  'capability-denied': CapabilityDeniedError,
  'rate-limited': RateLimitedError,
  conflict: ConflictError,
  'quota-exceeded': QuotaExceededError,
  'egress-blocked': EgressBlockedError,
  'deadline-exceeded': DeadlineExceededError,
  cancelled: CancelledError,
};

export function createHostCallError(method: string, code: ErrorCode, message: string, details: ErrorDetails): HostCallError {
  const Sort = classes[code] ?? HostCallError;
  return new Sort(method, code, message, details);
}
