import { asHostError, HostError } from '../protocol/errors.ts';

/** A plugin's error goes to its caller with a word that says nothing about the caller's own rights, and with bounded details. */
export const rethrowForCaller =
  (id: string) =>
  (thrown: unknown): never => {
    const { code, message, details } = asHostError(thrown);
    const hint = typeof details.hint === 'string' ? { hint: details.hint.slice(0, 300).toWellFormed() } : {};
    if (code === 'unauthenticated' || code === 'forbidden') throw new HostError('internal', `${id} answered ${code}: ${message}`, hint);
    throw new HostError(code, message, hint);
  };
