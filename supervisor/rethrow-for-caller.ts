import { asHostError, HostError, PluginFault } from '../protocol/errors.ts';

const lateHint = 'its manifest says how long it may take; what it was called for may have happened all the same';

/** A plugin's error goes to its caller with a word that says nothing about the caller's own rights, and with bounded details. */
export const rethrowForCaller =
  (id: string, method: string, timeoutMs: number) =>
  (thrown: unknown): never => {
    const { code, message, details } = asHostError(thrown);
    if (code === 'internal' && thrown instanceof HostError) throw new PluginFault(id, method, message); // it came as an answer: ours are no HostErrors
    if (code === 'deadline-exceeded' && details.rule === 'no-answer')
      throw new HostError(code, `${method} did not answer within its timeout_ms (${timeoutMs})`, { hint: lateHint });
    const hint = typeof details.hint === 'string' ? { hint: details.hint.slice(0, 300).toWellFormed() } : {};
    if (code === 'unauthenticated' || code === 'forbidden') throw new HostError('internal', `${id} answered ${code}: ${message}`, hint);
    throw new HostError(code, message, hint);
  };
