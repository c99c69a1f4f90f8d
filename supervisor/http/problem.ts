import { asHostError, type ErrorCode, type ErrorDetails, errorTable, HostError, PluginFault } from '../../protocol/errors.ts';

/** What the public Lattice server calls each of our words; a word that is not here is `internal_error` there. */
const publicCodes: Partial<Record<ErrorCode, string>> = {
  'invalid-params': 'bad_request',
  'changed-since-shown': 'bad_request',
  unauthenticated: 'unauthorized',
  forbidden: 'forbidden',
  'capability-denied': 'capability_denied',
  'not-found': 'not_found',
  'invalid-transition': 'request_failed',
  conflict: 'request_failed',
  'rate-limited': 'rate_limited',
  'plugin-crashed': 'bad_gateway',
  'deadline-exceeded': 'bad_gateway',
};

type Refusal = { status?: number; publicCode?: string; headers?: Record<string, string>; details?: ErrorDetails };

/** A refusal that HTTP tells more finely than the word does (405, 415), or that carries headers (Allow, Retry-After). */
export class HttpRefusal extends HostError {
  readonly refusal: Refusal;
  constructor(code: ErrorCode, message: string, refusal: Refusal) {
    super(code, message, refusal.details);
    this.refusal = refusal;
  }
}

export type Problem = { status: number; headers: Record<string, string>; body: Record<string, unknown> };

/** RFC 9457, with the member `error` that clients of the public server read. What was not foreseen leaves without its text. */
export function toProblem(thrown: unknown, requestId: string): Problem {
  const error = asHostError(thrown);
  const refusal = error instanceof HttpRefusal ? error.refusal : {};
  const row = errorTable[error.code];
  const hidden = error.code === 'internal' && !(error instanceof PluginFault);
  const detail = hidden ? 'internal error' : error.message;
  const status = refusal.status ?? (error.details.rule === 'disk-full' ? 507 : row.http);
  return {
    status,
    headers: refusal.headers ?? {},
    body: {
      ...(hidden ? {} : error.details), // first: a detail never replaces one of the names below
      type: `/problems/${error.code}`,
      title: row.title,
      status,
      detail,
      code: error.code,
      request_id: requestId,
      error: { code: refusal.publicCode ?? publicCodes[error.code] ?? 'internal_error', message: detail, request_id: requestId },
    },
  };
}
