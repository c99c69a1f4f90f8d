/** What the operator wants of a plugin. `verified`: seen and checked, not consented to, and so without a record. */
export type Status = 'verified' | 'installed' | 'active' | 'disabled';
export type Decision = 'no-op' | 'restart' | Status | 'forbidden';

/** From the present status (row) to the wanted one. Nobody leaves `verified` but by consent, and nobody returns to it. */
const table: Readonly<Record<Status, Readonly<Record<Status, Decision>>>> = {
  verified: { verified: 'no-op', installed: 'installed', active: 'forbidden', disabled: 'forbidden' },
  installed: { verified: 'forbidden', installed: 'no-op', active: 'active', disabled: 'disabled' },
  active: { verified: 'forbidden', installed: 'forbidden', active: 'restart', disabled: 'disabled' },
  disabled: { verified: 'forbidden', installed: 'forbidden', active: 'active', disabled: 'no-op' },
};

export const decideTransition = (status: Status, wanted: Status): Decision => table[status][wanted];
