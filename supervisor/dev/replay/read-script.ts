import { classifyMessage, type MessageId } from '../../../protocol/message.ts';
import type { Session, SessionRow } from './session-file.ts';

export type RecordedOutcome = { result: unknown } | { error: unknown };
type At = { line: number };
/** What a record says that was done to the plugin, and what the plugin did. */
export type Step =
  | (At & { kind: 'start' })
  | (At & { kind: 'crash'; ids: readonly MessageId[] }) // it ended by itself, with these invocations under way
  | (At & { kind: 'invoke'; id: MessageId; service: string; method: string; payload: unknown })
  | (At & { kind: 'cancel'; id: MessageId })
  | (At & { kind: 'reply'; id: MessageId; outcome: RecordedOutcome }) // to a host call
  | (At & { kind: 'ask'; id: MessageId; method: string; params: unknown })
  | (At & { kind: 'answer'; id: MessageId; outcome: RecordedOutcome }) // to an invocation
  | (At & { kind: 'progress'; id: MessageId; value: unknown });
export type Script = { config: Record<string, unknown>; steps: Step[] };

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
const outcomeOf = (value: Record<string, unknown>): RecordedOutcome =>
  Object.hasOwn(value, 'error') ? { error: value.error } : { result: value.result };

/** Leaves out what the runtime does by itself: pings, the handshake's answer, and all that follows a shutdown, until the next start. */
export function readScript({ rows }: Session): Script {
  const script: Script = { config: {}, steps: [] };
  let run = beginRun();
  for (const row of rows) {
    const message = classifyMessage(asRecord(row.msg));
    if (row.dir === 'out' && message.kind === 'request' && message.method === 'initialize') {
      if (script.steps.length > 0 && !run.isOver) script.steps.push({ kind: 'crash', line: row.line, ids: [...run.invoked] });
      run = beginRun();
      script.config = asRecord(asRecord(message.params).config);
      script.steps.push({ kind: 'start', line: row.line });
    } else if (row.dir === 'out' && message.kind === 'request' && message.method === 'shutdown') run.isOver = true;
    else if (!run.isOver) script.steps.push(...readStep(row, message, run));
  }
  return script;
}

type Run = { isOver: boolean; invoked: Set<MessageId>; asked: Set<MessageId> };
const beginRun = (): Run => ({ isOver: false, invoked: new Set(), asked: new Set() });

function readStep({ line, dir }: SessionRow, message: ReturnType<typeof classifyMessage>, run: Run): Step[] {
  if (message.kind === 'request') {
    const { id, method, params } = message;
    if (dir === 'in') {
      run.asked.add(id);
      return [{ kind: 'ask', line, id, method, params: params ?? {} }];
    }
    if (method !== 'invoke') return [];
    run.invoked.add(id);
    const { service, method: called, payload } = asRecord(params);
    return [{ kind: 'invoke', line, id, service: String(service), method: String(called), payload }];
  }
  if (message.kind === 'response') {
    const known = dir === 'in' ? run.invoked : run.asked; // an answer to an invocation that was given up came too late to count
    if (!known.delete(message.id)) return [];
    return [{ kind: dir === 'in' ? 'answer' : 'reply', line, id: message.id, outcome: outcomeOf(message.value) }];
  }
  if (message.kind !== 'notification') return [];
  const { id, value } = asRecord(message.params) as { id: MessageId; value?: unknown };
  if (dir === 'in') return message.method === '$/progress' ? [{ kind: 'progress', line, id, value: value ?? null }] : [];
  return message.method === '$/cancelRequest' && run.invoked.delete(id) ? [{ kind: 'cancel', line, id }] : [];
}
