import { decideTransition, type Status } from '../../supervisor/plugin-lifecycle.ts';
import type { Order } from './race-orders.ts';

/** How one order was answered. `from`, `to`: the audit's last row when it was sent and when it was answered. */
export type Outcome = { order: Order; actor: string; status: number; body: Record<string, unknown>; from: number; to: number };
/** A row of kind `plugin.status`. */
export type Row = { seq: number; actor: string | null; code: string | null; summary: string };
/** What the store held since the row `seq`. */
export type Held = { seq: number; status: Status; version: string; former: string[]; config: Record<string, unknown> };
type Change = { change: string; from?: string; to?: string; reason?: string };

const formerKept = 3;

/** Builds from the rows alone what the store held after each of them, and names each step that the lifecycle does not allow. */
export function replayHistory(rows: readonly Row[], outcomes: readonly Outcome[], start: Held): { history: Held[]; faults: string[] } {
  const orderOf = new Map(outcomes.map(({ actor, order }) => [actor, order]));
  const history = [start];
  const faults: string[] = [];
  for (const row of rows) {
    const before = history.at(-1) ?? start;
    const change: Change = JSON.parse(row.summary);
    const order = orderOf.get(row.actor ?? '');
    const after = order ? applyChange(before, change, order, row.seq) : 'nobody asked for it';
    if (typeof after === 'string') faults.push(`row ${row.seq} ${row.summary}: ${after}; before it: ${JSON.stringify(before)}`);
    else history.push(after);
  }
  return { history, faults };
}

function applyChange(before: Held, { change, from, to, reason }: Change, order: Order, seq: number): Held | string {
  const next = { ...before, seq };
  if (order.isStale) return 'its condition could not hold';
  if (change === 'status' || change === 'restart') {
    const isGivenUp = to === 'disabled' && reason !== undefined && order.wanted === 'active'; // it could not be armed
    if (from !== before.status) return 'it was not in that state';
    const decision = decideTransition(before.status, to as Status); // a word that is none has no decision
    if (decision !== (change === 'restart' ? 'restart' : to)) return `the table says ${decision}`;
    return to === order.wanted || isGivenUp ? { ...next, status: to as Status } : 'this was not asked for';
  }
  if (change === 'config') return order.kind === change ? { ...next, config: order.body } : 'this was not asked for';
  const [kind, end] = change.split('-');
  if (kind !== order.kind) return 'this was not asked for';
  if (before.status === 'verified') return 'it is not installed';
  if (end === 'begun' && before.status !== 'active') return 'only an active plugin has a second version beside it';
  if (end !== undefined) return next;
  if (from !== before.version) return 'it was not that version';
  if (to === undefined) return 'to which version?';
  if (kind === 'rollback' && before.former[0] !== to) return 'that was not the version before';
  const former = kind === 'upgrade' ? [before.version, ...before.former].slice(0, formerKept) : before.former.slice(1);
  return { ...next, version: to, former };
}

/** Names each answer that does not fit its own rows, or what the store held while it was asked. */
export function judgeAnswers(outcomes: readonly Outcome[], rows: readonly Row[], history: readonly Held[]): string[] {
  const rowsOf = Map.groupBy(rows, ({ actor }) => actor ?? '');
  return outcomes.flatMap((outcome) => {
    const own = rowsOf.get(outcome.actor) ?? [];
    const during = history.filter(({ seq }, at) => seq <= outcome.to && (history[at + 1]?.seq ?? Infinity) > outcome.from);
    const fault = judgeAnswer(outcome, own, history, during);
    return fault === null
      ? []
      : [
          `${outcome.order.kind} ${JSON.stringify(outcome.order.body)}: ${fault}: ${outcome.status} ${JSON.stringify(outcome.body).slice(0, 400)}`,
        ];
  });
}

function judgeAnswer(outcome: Outcome, own: readonly Row[], history: readonly Held[], during: readonly Held[]): string | null {
  const { order, status, body, from, to } = outcome;
  if (own.some(({ seq }) => seq <= from || seq > to)) return 'a row of it is not from the time in which it was asked';
  const made = own.filter(({ summary }) => !/-(begun|failed)"/.test(summary));
  const hasNoTag = order.kind === 'config' && during.some((each) => each.status === 'verified'); // there is no configuration yet
  if (order.isStale) return own.length === 0 && (status === 412 || (hasNoTag && status === 409)) ? null : 'its condition could not hold';
  if (status === 200) {
    if (made.length > 1) return 'it was done more than once';
    const [row] = made;
    const held = row ? history.filter(({ seq }) => seq === row.seq) : during.filter((each) => isNothingToDo(order, each));
    return held.some((each) => isShown(order, body, each)) ? null : 'this is not what the store held';
  }
  if (made.length > 0) return 'it was refused, and yet there is a row';
  return during.some((each) => isRightlyRefused(outcome, own, each)) ? null : 'there was no reason for this';
}

/** Only these are answered with success without a row. */
const isNothingToDo = ({ kind, wanted }: Order, { status }: Held): boolean =>
  kind === 'upgrade' ? status !== 'verified' : kind === 'status' && wanted !== 'active' && wanted === status;

const isShown = ({ kind }: Order, body: Record<string, unknown>, held: Held): boolean =>
  kind === 'config' ? JSON.stringify(body) === JSON.stringify(held.config) : body.status === held.status && body.version === held.version;

function isRightlyRefused({ order, status, body }: Outcome, own: readonly Row[], held: Held): boolean {
  if (status !== 409) return false;
  if (body.rule === 'no-former-version') return order.kind === 'rollback' && held.former.length === 0;
  if (body.rule === 'given-up') return own.length === 2; // begun and failed
  if (body.code !== 'invalid-transition' || own.length > 0) return false;
  if (order.wanted === null) return held.status === 'verified';
  return body.from === held.status && body.to === order.wanted && decideTransition(held.status, order.wanted) === 'forbidden';
}
