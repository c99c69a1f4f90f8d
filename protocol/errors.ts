type Row = { rpc: number; http: number; title: string };

/** The words are the contract, the numbers are transport. A retired word is never used again. */
export const errorTable = {
  'invalid-params': { rpc: -32602, http: 400, title: 'Invalid parameters' },
  'method-not-found': { rpc: -32601, http: 404, title: 'Unknown method' },
  'capability-denied': { rpc: -31001, http: 403, title: 'Capability not granted' }, // ours stay outside -32768..-32000
  'rate-limited': { rpc: -31002, http: 429, title: 'Too many requests' },
  'quota-exceeded': { rpc: -31003, http: 413, title: 'Quota exceeded' },
  'deadline-exceeded': { rpc: -31004, http: 504, title: 'Deadline exceeded' },
  cancelled: { rpc: -31005, http: 499, title: 'Cancelled' },
  'egress-blocked': { rpc: -31006, http: 403, title: 'Address not allowed' },
  'not-found': { rpc: -31007, http: 404, title: 'Not found' },
  conflict: { rpc: -31008, http: 409, title: 'Conflict' },
  'invalid-transition': { rpc: -31009, http: 409, title: 'Not possible in this state' },
  'changed-since-shown': { rpc: -31010, http: 409, title: 'Changed since it was shown' },
  unavailable: { rpc: -31011, http: 503, title: 'Unavailable' },
  'sandbox-unavailable': { rpc: -31012, http: 503, title: 'Sandbox unavailable' },
  'storage-unavailable': { rpc: -31013, http: 503, title: 'Storage unavailable' },
  'plugin-crashed': { rpc: -31014, http: 502, title: 'Plugin crashed' },
  'payload-too-large': { rpc: -31015, http: 413, title: 'Payload too large' },
  unauthenticated: { rpc: -31016, http: 401, title: 'Not authenticated' },
  forbidden: { rpc: -31017, http: 403, title: 'Not allowed' },
  'verification-failed': { rpc: -31018, http: 422, title: 'Verification failed' },
  internal: { rpc: -32603, http: 500, title: 'Internal error' },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof errorTable;
export const isErrorCode = (word: unknown): word is ErrorCode => typeof word === 'string' && Object.hasOwn(errorTable, word);

/** What may be said beside the message: `hint` names the fix, `pointer` and `line` the manifest line that would change a denial. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export class HostError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

export class CapabilityDenied extends HostError {
  constructor(pluginId: string, method: string, capability: string, risk: string) {
    super('capability-denied', `${pluginId} called ${method} without ${capability}`, {
      pluginId,
      method,
      capability,
      risk,
      rule: 'capability-not-granted',
      pointer: '/capabilities/-',
      line: `"${capability}"`,
      hint: `add "${capability}" to "capabilities" in the manifest, pack, sign, and have the operator consent`,
    });
  }
}

export const resultNotJson = 'the result is not JSON';
const jsonHint = 'a result is what JSON can say: no BigInt, no function, nothing that holds itself';

/** What a plugin's own code threw: its caller hears of it without its text, and where that is. `said` is for the plugin's author alone. */
export class PluginFault extends HostError {
  readonly said: string;
  constructor(pluginId: string, method: string, said: string) {
    const isResult = said === resultNotJson; // the runner found that: nothing was thrown, and nothing is in the log
    super('internal', isResult ? `${method} of ${pluginId}: ${said}` : `${method} of ${pluginId} threw an error`, {
      rule: 'plugin-fault',
      hint: isResult ? jsonHint : `its log tells more: lattice plugins logs ${pluginId}`,
    });
    this.said = said;
  }
}

/** The only way an error leaves the process. What was not foreseen leaves as `internal`, without its text. */
export const asHostError = (thrown: unknown): HostError =>
  thrown instanceof HostError ? thrown : new HostError('internal', 'internal error', {}, { cause: thrown });

export type RpcError = { code: number; message: string; data: Record<string, unknown> & { code: ErrorCode } };

export function toRpcError(thrown: unknown): RpcError {
  const { code, message, details } = asHostError(thrown);
  return { code: errorTable[code].rpc, message, data: { ...details, code } };
}

/** Reads an error object of the other end. `untrusted` bounds what is kept: the text was written by a plugin. */
export function fromRpcError(error: unknown): HostError {
  const row = typeof error === 'object' && error !== null ? (error as { code?: unknown; message?: unknown; data?: unknown }) : {};
  const data = typeof row.data === 'object' && row.data !== null && !Array.isArray(row.data) ? (row.data as Record<string, unknown>) : {};
  const message = typeof row.message === 'string' ? row.message.slice(0, 1000).toWellFormed() : 'the other end answered with an error';
  const byNumber = Object.entries(errorTable).find(([, entry]) => entry.rpc === row.code)?.[0];
  const code = isErrorCode(data.code) ? data.code : isErrorCode(byNumber) ? byNumber : 'internal';
  const { code: _word, ...details } = data;
  return new HostError(code, message, details);
}
