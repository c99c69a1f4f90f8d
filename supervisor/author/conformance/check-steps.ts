import { childMethods } from '../../../protocol/child-methods.ts';
import { errorTable } from '../../../protocol/errors.ts';
import { describeInitialize } from '../../describe-initialize.ts';
import type { Launch } from '../../runner.ts';
import { type Answered, Missing, type Session } from './session.ts';

export type Call = { service: string; method: string; payload: unknown };
/** `call`: a method that the manifest declares; null when it declares none. */
export type CheckContext = { session: Session; launch: Launch; call: Call | null };
export const callTimeoutMs = 30_000;
export const answerMs = 5_000;
export const pingMs = childMethods.ping.timeoutMs;

export function must(holds: boolean, what: string): void {
  if (!holds) throw new Missing(what);
}

export async function start({ session, launch }: CheckContext): Promise<void> {
  const answer = await session.request('initialize', describeInitialize(launch, callTimeoutMs), childMethods.initialize.timeoutMs);
  const parsed = childMethods.initialize.result.safeParse(answer.result);
  must(parsed.success && parsed.data.protocol === 1, `the answer to initialize is ${shorten(answer)}, not {"protocol": 1}`);
}

export const ping = async ({ session }: CheckContext): Promise<void> => {
  const answer = await session.request('ping', {}, pingMs);
  must('result' in answer, `ping was answered with an error: ${shorten(answer)}`);
};

export const invokeParams = ({ call }: CheckContext, more: Partial<Call & { timeout_ms: number }> = {}) => ({
  service: '',
  method: '',
  payload: null,
  ...call,
  timeout_ms: answerMs,
  ...more,
});

export const shorten = (value: unknown): string => JSON.stringify(value)?.slice(0, 120) ?? 'nothing';
export const describe = ({ error }: Answered): string | undefined =>
  error ? `answered with the error ${shorten(error.data?.code ?? error.code)}; --call names a call that succeeds` : undefined;

export function mustBeUnknown(answer: Answered, what: string): void {
  const code = errorTable['method-not-found'].rpc;
  must(answer.error?.code === code, `${what} must be answered with error ${code} (method-not-found), not ${shorten(answer)}`);
}

/** Sends an invoke whose host calls wait; resolves when it asks for something, or has answered without. */
export async function invokeHeld(context: CheckContext): Promise<{ id: number; isAnswered: () => boolean }> {
  const { session } = context;
  session.hold('hold');
  const id = session.nextId();
  const isAnswered = session.expectAnswer(id);
  session.send({ id, method: 'invoke', params: invokeParams(context) });
  await session.until(() => session.held.length > 0 || isAnswered(), answerMs, 'a host call or an answer to invoke');
  return { id, isAnswered };
}

export const noHostCall = 'the method made no host call; --call names one that does';

export async function giveUp(context: CheckContext): Promise<string | undefined> {
  const { session } = context;
  const { id, isAnswered } = await invokeHeld(context);
  const asked = session.held.length > 0;
  session.send({ method: '$/cancelRequest', params: { id } });
  await ping(context);
  session.hold('answer'); // what it asked for is answered all the same, and may come too late for it
  await session.until(isAnswered, answerMs, 'an answer, a result or an error, to the request that was given up');
  await ping(context);
  return asked ? undefined : noHostCall;
}
