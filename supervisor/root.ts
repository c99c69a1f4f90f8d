import { readFileSync } from 'node:fs';
import { HostError } from '../protocol/errors.ts';

type Process = {
  getuid?(): number;
  setuid?(id: number): void;
  setgid?(id: number): void;
  initgroups?(user: string, extraGroup: number): void;
};

/**
 * As root the service runs only when told how: with LATTICE_RUN_AS it gives root up at once, before it opens anything; with
 * LATTICE_ALLOW_ROOT=1 it stays root, to give each child a user id of its own. Returns a warning to print, or null.
 */
export function settleRoot(choice: { runAs: string | null; allowRoot: boolean }, process: Process): string | null {
  if (process.getuid?.() !== 0) {
    if (choice.runAs !== null)
      throw new HostError('invalid-params', 'LATTICE_RUN_AS works only when the service is started as root', { hint: 'leave it out' });
    return null;
  }
  if (choice.runAs !== null) {
    const user = findUser(choice.runAs);
    process.initgroups?.(choice.runAs, user.gid);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
    return null;
  }
  if (choice.allowRoot) return 'running as root; every plugin gets an unprivileged user id of its own';
  throw new HostError('invalid-params', 'the service does not run as root unless it is told to', {
    hint: 'set LATTICE_RUN_AS=<user> to drop to that user, or LATTICE_ALLOW_ROOT=1 to stay root with every plugin under a user id of its own',
  });
}

function findUser(name: string): { uid: number; gid: number } {
  const row = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([user]) => user === name);
  const [uid, gid] = [Number(row?.[2]), Number(row?.[3])];
  if (row === undefined || !Number.isInteger(uid) || !Number.isInteger(gid))
    throw new HostError('invalid-params', `LATTICE_RUN_AS: there is no user ${name}`, { hint: 'create it first, without a login shell' });
  if (uid === 0) throw new HostError('invalid-params', 'LATTICE_RUN_AS names a user with uid 0', { hint: 'name an unprivileged user' });
  return { uid, gid };
}
