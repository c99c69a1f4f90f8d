import { parseStrict } from '../../protocol/strict-json.ts';

export type HostCallLine = { kind: 'host-call'; id: string | undefined; method: string; params: unknown };
export type ReplyLine = { kind: 'reply'; ok: boolean; result: unknown; message: string };
export type Line = HostCallLine | ReplyLine | { kind: 'blank' } | { kind: 'violation'; rule: string; detail: string };

const textMost = 1000;
const idMost = 128;

/** One line that a plugin of this protocol wrote to stdout: a call of the host, its reply, or nothing it may write. */
export function readLine(bytes: Buffer): Line {
  if (/^[ \t\r\n]*$/.test(bytes.subarray(0, textMost).toString('latin1')) && bytes.length <= textMost) return { kind: 'blank' };
  const parsed = parseStrict(bytes);
  if (!parsed.ok) return violation(parsed.rule, parsed.detail);
  const { value } = parsed;
  if (!isRecord(value)) return violation('not-an-object', 'a line on stdout is one JSON object');
  return Object.hasOwn(value, 'host_call') ? readHostCall(value.host_call) : readReply(value);
}

function readHostCall(call: unknown): Line {
  if (!isRecord(call)) return violation('bad-host-call', '"host_call" is not an object');
  const { id, method, params } = call;
  if (typeof method !== 'string' || method === '') return violation('bad-host-call', 'a host call has no "method"');
  if (id !== undefined && (typeof id !== 'string' || id.length > idMost))
    return violation('bad-host-call', `the "id" of a host call is a string of at most ${idMost} characters`);
  return { kind: 'host-call', id, method, params };
}

/** `plan` is an older name of `result`; of the two texts the public server shows `message` first. */
function readReply(reply: Record<string, unknown>): Line {
  const { ok = false, result, plan, message, error } = reply;
  if (typeof ok !== 'boolean') return violation('bad-reply', '"ok" is not true or false');
  const texts = [message, error].map((text) => text ?? '');
  if (!texts.every((text) => typeof text === 'string')) return violation('bad-reply', '"message" or "error" is not a text');
  return {
    kind: 'reply',
    ok,
    result: result ?? plan ?? null,
    message: (texts.find((text) => text !== '') ?? '').slice(0, textMost).toWellFormed(),
  };
}

const violation = (rule: string, detail: string): Line => ({ kind: 'violation', rule, detail });
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const LF = 0x0a;

/** Cuts what a plugin writes into lines as they end. It holds no more than the caller lets in: the whole output has a budget. */
export function createLineCutter() {
  let held: Buffer[] = [];
  const take = (tail: Buffer): Buffer => {
    const line = held.length === 0 ? tail : Buffer.concat([...held, tail]);
    held = [];
    return line;
  };
  return {
    *push(chunk: Buffer): Generator<Buffer, void, void> {
      let from = 0;
      for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, from)) {
        yield take(chunk.subarray(from, end));
        from = end + 1;
      }
      if (from < chunk.length) held.push(Buffer.from(chunk.subarray(from)));
      if (held.length > 256) held = [Buffer.concat(held)]; // a line sent byte by byte must not cost an object a byte
    },
    /** What stands after the last line break at the end of the stream: the last line may lack its own. */
    rest: (): Buffer => take(Buffer.alloc(0)),
  };
}
