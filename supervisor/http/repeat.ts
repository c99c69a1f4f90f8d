import type { IncomingMessage } from 'node:http';
import { asHostError, type ErrorCode, HostError } from '../../protocol/errors.ts';
import type { Log } from '../log.ts';
import type { KeptAnswer, Known, Repeatable, RepeatedRequests } from '../repeated-requests.ts';
import type { Settle } from '../safeguards.ts';
import { HttpRefusal, toProblem } from './problem.ts';
import type { Prepared, Settled } from './route.ts';

export type Answer = { status: number; tag: string | null; text: string; isProblem: boolean; isReplayed: boolean };
/** How a change notes that it was made, and what it answers where that is known. */
export type SettleAs = <Done>(answerOf?: (done: Done) => Settled) => Settle<Done>;

const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"$/;
const bare = /^[A-Za-z0-9._:-]{1,255}$/; // many clients leave the quotation marks out

/** The key of a request: a string as structured fields have it, 1 to 255 printable characters. Null: it has none. */
export function readKey(req: IncomingMessage): string | null {
  if (req.headers['idempotency-key'] === undefined) return null; // most have none, and to list each header's lines costs as much as to find a token
  const given = req.headersDistinct['idempotency-key'] ?? [];
  const [text = ''] = given;
  const found = quoted.exec(text)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? bare.exec(text)?.[0];
  if (given.length === 1 && found !== undefined) return found;
  throw new HostError('invalid-params', 'the header Idempotency-Key is not one string of 1 to 255 printable characters', {
    rule: 'malformed-idempotency-key',
    hint: 'send a random UUID in quotation marks, once: Idempotency-Key: "<uuid>"',
  });
}

/** Does what is asked once, however often it is asked with this key. */
export async function performOnce(
  deps: { repeated: RepeatedRequests; log: Log },
  asked: Repeatable,
  prepared: Prepared,
  requestId: string,
  perform: (settleAs: SettleAs) => Promise<Answer>,
): Promise<Answer> {
  const { repeated, log } = deps;
  const { id, known } = await repeated.begin(asked, !prepared.outside);
  if (known.state !== 'new') return replay(known, prepared);
  const noted = { answer: false };
  const settleAs: SettleAs = (answerOf) => async (tx, done) => {
    const answer = answerOf?.(done);
    await repeated.settle(
      tx,
      id,
      answer ? { status: answer.status ?? 200, etag: answer.tag ?? null, body: JSON.stringify(answer.body) } : null,
    );
    noted.answer = answer !== undefined;
  };
  // Told to the client whether or not it can be noted: what was changed is changed.
  const note = (what: Promise<unknown>) =>
    what.catch((error: unknown) => log.warn('http.answer.not-kept', { request_id: requestId, error: asHostError(error).message }));
  try {
    const answer = await perform(settleAs);
    if (!noted.answer) await note(repeated.conclude(id, toKept(answer, prepared), true));
    return answer;
  } catch (thrown) {
    const error = asHostError(thrown);
    const problem = toProblem(error, requestId);
    const isFinal = isOwnFault(error, problem.status) || (prepared.outside && mayHaveRun.has(error.code));
    await note(repeated.conclude(id, { status: problem.status, etag: null, body: JSON.stringify(problem.body) }, isFinal));
    throw thrown;
  } finally {
    repeated.end(id);
  }
}

const toKept = ({ status, tag, text }: Answer, { isSecret }: Prepared): KeptAnswer => ({ status, etag: tag, body: isSecret ? null : text });

const passing: ReadonlySet<ErrorCode> = new Set(['rate-limited', 'cancelled', 'unauthenticated', 'forbidden']);
/** The same request would meet the same error, until its sender changes it. */
const isOwnFault = ({ code }: HostError, status: number): boolean => !passing.has(code) && status < 500;
/** Errors after which a plugin may have done what it was called for. */
const mayHaveRun: ReadonlySet<ErrorCode> = new Set(['deadline-exceeded', 'plugin-crashed', 'cancelled', 'internal']);

function replay(known: Known, prepared: Prepared): Answer {
  if (known.state === 'answered') {
    const { status, etag: tag, body } = known;
    const text = body ?? (prepared.isSecret ? answerAgain(prepared) : null);
    if (text === null) throw notKept(status);
    return { status, tag, text, isProblem: status >= 400, isReplayed: true };
  }
  if (known.state === 'changed') return { status: 200, tag: null, text: answerAgain(prepared), isProblem: false, isReplayed: true };
  throw known.state === 'other' ? reused() : known.state === 'running' ? inUse() : cutOff();
}

function answerAgain({ answerAgain: tell }: Prepared): string {
  if (tell) return JSON.stringify(tell());
  throw cutOff(); // a route that notes its change has this; see its test
}

const reused = (): HttpRefusal =>
  new HttpRefusal('invalid-params', 'this Idempotency-Key was sent with another request', {
    status: 422,
    details: {
      rule: 'idempotency-key-reused',
      hint: 'send a new key with each new request, and the old one only with the same request again',
    },
  });

const inUse = (): HttpRefusal =>
  new HttpRefusal('conflict', 'the request with this Idempotency-Key is still being carried out', {
    headers: { 'Retry-After': '1' },
    details: {
      rule: 'idempotency-key-in-use',
      retry_after_ms: 1000,
      hint: 'send it again after Retry-After: it then has the answer of the first',
    },
  });

const cutOff = (): HostError =>
  new HostError('conflict', 'the service ended while it carried this request out: whether it was done is not known', {
    rule: 'outcome-unknown',
    hint: 'look at what is there, then send it with a new key if it is to be done',
  });

const notKept = (status: number): HostError =>
  new HostError('conflict', `this request was answered with status ${status}; the answer was too large to be kept`, {
    rule: 'answer-not-kept',
    answered_status: status,
    hint: 'read what is there; it is not done again',
  });
