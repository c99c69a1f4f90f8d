export type MessageId = string | number;
export type Message =
  | { kind: 'request'; id: MessageId; method: string; params: unknown }
  | { kind: 'notification'; method: string; params: unknown }
  | { kind: 'response'; id: MessageId; value: Record<string, unknown> }
  | { kind: 'violation'; rule: MessageRule; detail: string };
export type MessageRule = 'not-json-rpc' | 'invalid-id' | 'invalid-method' | 'invalid-params-shape' | 'invalid-response';

const violation = (rule: MessageRule, detail: string): Message => ({ kind: 'violation', rule, detail });

/** Null is an id in JSON-RPC, but cannot be told from an error without one; a fraction or a number beyond 2^53 does not compare reliably. */
const isId = (id: unknown): id is MessageId =>
  typeof id === 'number' ? Number.isSafeInteger(id) : typeof id === 'string' && id.length > 0 && id.length <= 64;

/** Which of the three kinds of JSON-RPC 2.0 message this is, or the rule that it breaks. */
export function classifyMessage(value: Record<string, unknown>): Message {
  if (value.jsonrpc !== '2.0') return violation('not-json-rpc', '"jsonrpc" must be "2.0"');
  const hasId = Object.hasOwn(value, 'id');
  if (hasId && !isId(value.id)) return violation('invalid-id', 'an id is a string of 1 to 64 characters or a safe integer');
  const id = value.id as MessageId; // looked at only where hasId
  if (Object.hasOwn(value, 'method')) {
    if (typeof value.method !== 'string' || value.method.length > 128)
      return violation('invalid-method', '"method" must be a string of at most 128 characters');
    const params = value.params;
    if (params !== undefined && (typeof params !== 'object' || params === null))
      return violation('invalid-params-shape', '"params" must be an object or an array');
    return hasId ? { kind: 'request', id, method: value.method, params } : { kind: 'notification', method: value.method, params };
  }
  const hasError = Object.hasOwn(value, 'error');
  if (!hasId || hasError === Object.hasOwn(value, 'result'))
    return violation('invalid-response', 'an answer has an id and either "result" or "error"');
  if (hasError && (typeof value.error !== 'object' || value.error === null))
    return violation('invalid-response', '"error" must be an object');
  return { kind: 'response', id, value };
}
