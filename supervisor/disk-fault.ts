import { HostError } from '../protocol/errors.ts';

type Cure = { rule: string; hint: string };

const check = 'check the disk of the data directory and the system log';
const waits = 'the service goes on by itself once the cause is gone';

/** Why the disk does not take or give something, and what an operator does about it. */
export const diskFaults = {
  full: { rule: 'disk-full', hint: `free space on the disk of the data directory; ${waits}` },
  readOnly: { rule: 'disk-read-only', hint: `make the file system of the data directory writable again; ${waits}` },
  broken: { rule: 'disk-fault', hint: `${check}; ${waits}` },
  notOurs: { rule: 'not-writable', hint: 'make the data directory and what is in it writable for the user of the service' },
} as const satisfies Record<string, Cure>;

const byErrno: Readonly<Record<string, Cure>> = {
  ENOSPC: diskFaults.full,
  EDQUOT: diskFaults.full,
  EROFS: diskFaults.readOnly,
  EIO: diskFaults.broken,
};

/** What the file system answered outside the database becomes `storage-unavailable` too; anything else stays as it is. */
export function asDiskError(thrown: unknown): unknown {
  if (thrown instanceof HostError || !(thrown instanceof Error) || !('code' in thrown)) return thrown;
  const word = String(thrown.code);
  const cure = Object.hasOwn(byErrno, word) ? byErrno[word] : undefined;
  return cure ? new HostError('storage-unavailable', `the disk does not take it: ${word}`, cure, { cause: thrown }) : thrown;
}
