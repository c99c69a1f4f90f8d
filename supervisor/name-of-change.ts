import type { VersionChange } from './bundle-difference.ts';

/** What stands before the version of another bundle that is offered. */
export const nameOfChange = (change: VersionChange): string =>
  ({ upgrade: 'upgrade to', downgrade: 'downgrade to', 'same-version': 'other bytes of', unordered: 'other version' })[change];
