import { classifyMessage, type MessageId } from '../../../protocol/message.ts';
import { parseJson } from '../../../protocol/parse-json.ts';
import type { Direction } from '../harness/interposer.ts';

/** Where in the conversation a message stands. `names` are all that a fault may call it by, the plainest first. */
export type WireStep = { name: string; names: readonly string[]; id: MessageId | null };

const idsKept = 4096; // of requests whose answer never came

/** Names each message: a request by its method, an answer by the request's with `.answer`, an invocation also by its service and method. */
export function createStepReader() {
  const asked: Record<Direction, Map<MessageId, string[]>> = { in: new Map(), out: new Map() };

  function remember(direction: Direction, id: MessageId, names: string[]): void {
    const open = asked[direction];
    open.set(id, names);
    const [oldest] = open.keys();
    if (open.size > idsKept && oldest !== undefined) open.delete(oldest);
  }

  return function readStep(direction: Direction, line: string): WireStep | null {
    const value = readObject(line);
    const message = value && classifyMessage(value);
    if (!message || message.kind === 'violation') return null;
    if (message.kind === 'notification') return { name: message.method, names: [message.method], id: null };
    if (message.kind === 'request') {
      const names = nameRequest(direction, message.method, message.params);
      remember(direction, message.id, names);
      return { name: names[0] ?? message.method, names, id: message.id };
    }
    const other = asked[direction === 'in' ? 'out' : 'in'];
    const names = (other.get(message.id) ?? []).map((name) => `${name}.answer`);
    other.delete(message.id);
    return { name: names[0] ?? 'answer', names, id: message.id };
  };
}

function nameRequest(direction: Direction, method: string, params: unknown): string[] {
  if (direction === 'in') return [method, '*'];
  const { service, method: called } = (params ?? {}) as { service?: unknown; method?: unknown };
  return method === 'invoke' ? [method, `${String(service)}.${String(called)}`] : [method];
}

function readObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = parseJson(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null; // not a message
  }
}
