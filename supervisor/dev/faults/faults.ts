import { HostError, toRpcError } from '../../../protocol/errors.ts';
import { isHostMethod } from '../../../protocol/host-methods.ts';
import type { Direction, Fate } from '../harness/interposer.ts';
import { type FaultAction, faultNames } from './fault-actions.ts';
import { createStepReader, type WireStep } from './wire-steps.ts';

/** What a fault does to one message. `value` is the number after a colon, where the action takes one. */
type Action = { doc: string; value?: number; apply(line: string, step: WireStep, value: number): Fate };

export const faultActions = {
  drop: { doc: 'the message never arrives', apply: () => ({}) },
  delay: {
    doc: 'it arrives later, by so many milliseconds (delay:250@…)',
    value: 1000,
    apply: (line, _step, delayMs) => ({ forward: [`${line}\n`], delayMs }),
  },
  dup: { doc: 'it arrives twice', apply: (line) => ({ forward: [`${line}\n${line}\n`] }) },
  garble: {
    doc: 'only its first half arrives, as a line',
    apply: (line) => ({ forward: [`${line.slice(0, Math.ceil(line.length / 2))}\n`] }),
  },
  deny: {
    doc: 'the host call does not arrive; the plugin reads a denial',
    apply: (_line, { id, name }) => ({ reply: JSON.stringify({ jsonrpc: '2.0', id, error: toRpcError(denial(name)) }) }),
  },
  kill: { doc: 'the child is killed, and the message is lost', apply: () => ({ kill: true }) },
} as const satisfies Record<FaultAction, Action>;

/** `count` null: at every occurrence; else at the one of this number, from 1. */
export type Fault = { action: FaultAction; value: number; step: string; count: number | null };

const denial = (method: string): HostError =>
  new HostError('capability-denied', `${method} is denied: a fault was injected`, {
    rule: 'fault',
    hint: 'this is what a plugin sees that was not granted it',
  });

const isAction = (word: string): word is FaultAction => Object.hasOwn(faultActions, word);

/** Reads `action[:value]@step[#n]`, for example `drop@kv.put.answer#2` or `delay:250@invoke`. Without a number it acts every time. */
export function parseFault(text: string): Fault {
  const [, action = '', value, step = '', count] =
    /^([a-z]+)(?::(\d{1,7}))?@(\*(?:\.answer)?|[A-Za-z$][\w$./]*)(?:#([1-9]\d{0,6}))?$/.exec(text) ?? [];
  const hint = `write action@step: ${faultNames.join(' ')} at initialize, invoke, service.method, ping, shutdown, a host method, or * for every host call; .answer for what comes back; #2 for the second only`;
  if (!isAction(action)) throw new HostError('invalid-params', `"${text.slice(0, 80)}" is not a fault`, { rule: 'fault', hint });
  const { value: usual, doc }: Action = faultActions[action];
  if (value !== undefined && usual === undefined)
    throw new HostError('invalid-params', `${action} takes no number`, { rule: 'fault', hint: doc });
  if (action === 'deny' && step !== '*' && !isHostMethod(step))
    throw new HostError('invalid-params', `${step} is no host call: only those can be denied`, { rule: 'fault', hint });
  return { action, value: Number(value ?? usual ?? 0), step, count: count === undefined ? null : Number(count) };
}

export const faultText = ({ action, value, step, count }: Fault): string =>
  `${action}${(faultActions[action] as Action).value === undefined ? '' : `:${value}`}@${step}${count === null ? '' : `#${count}`}`;

/** Says what becomes of each message; the first fault that is due at it acts. */
export function createFaultDecider(faults: readonly Fault[], onFault: (fault: string, step: string) => void) {
  const armed = faults.map((fault) => ({ fault, seen: 0 }));
  const readStep = createStepReader();
  return {
    add: (fault: Fault): void => void armed.push({ fault, seen: 0 }),
    decide(direction: Direction, line: string): Fate | null {
      const step = readStep(direction, line);
      if (!step) return null;
      const due = armed.filter((row) => step.names.includes(row.fault.step)).filter((row) => ++row.seen === (row.fault.count ?? row.seen));
      const [first] = due;
      if (!first) return null;
      const { action, value } = first.fault;
      onFault(faultText(first.fault), step.name);
      return (faultActions[action] as Action).apply(line, step, value);
    },
  };
}
