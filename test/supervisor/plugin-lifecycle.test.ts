import t from 'tap';
import { type Decision, decideTransition, type Status } from '../../supervisor/plugin-lifecycle.ts';

const statuses: readonly Status[] = ['verified', 'installed', 'active', 'disabled'];
// What the operator may do, said as steps; every pair that is not here is forbidden.
const allowed: Readonly<Record<string, Decision>> = {
  'verified to verified': 'no-op',
  'verified to installed': 'installed',
  'installed to installed': 'no-op',
  'installed to active': 'active',
  'installed to disabled': 'disabled',
  'active to active': 'restart',
  'active to disabled': 'disabled',
  'disabled to active': 'active',
  'disabled to disabled': 'no-op',
};

for (const status of statuses) {
  for (const wanted of statuses) {
    const step = `${status} to ${wanted}`;
    const expected = allowed[step] ?? 'forbidden';
    t.test(`given a plugin, when it is to go from ${step}, then that is ${expected}`, async (t) => {
      t.equal(decideTransition(status, wanted), expected);
    });
  }
}
