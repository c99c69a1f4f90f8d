import t from 'tap';
import { explainBwrapFailure, isDisableUsernsFailure } from '../../../supervisor/sandbox/explain-failure.ts';

const clone = '/proc/sys/kernel/unprivileged_userns_clone';
const most = '/proc/sys/user/max_user_namespaces';
const apparmor = '/proc/sys/kernel/apparmor_restrict_unprivileged_userns';

const rows: [name: string, stderr: string, settings: Record<string, string>, howToGet: RegExp][] = [
  [
    'a kernel that forbids them',
    'bwrap: No permissions to create new namespace',
    { [clone]: '0\n' },
    /kernel\.unprivileged_userns_clone=1/,
  ],
  ['a count of zero', 'bwrap: Creating new namespace failed: No space left on device', { [most]: '0\n' }, /user\.max_user_namespaces/],
  [
    'a count that is used up',
    'bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)',
    { [most]: '1\n' },
    /user\.max_user_namespaces/,
  ],
  ['AppArmor', 'bwrap: setting up uid map: Permission denied', { [apparmor]: '1\n', [most]: '9\n' }, /bwrap-userns-restrict/],
  [
    'a container’s filter',
    'bwrap: No permissions to create new namespace, likely because …',
    { [clone]: '1', [most]: '9' },
    /Docker.*RestrictNamespaces/,
  ],
  ['silence', '', {}, /lattice doctor/],
  ['anything else', 'bwrap: execvp /rt/prlimit: No such file or directory\nmore', {}, /mend what bwrap reports/],
];
for (const [name, stderr, settings, howToGet] of rows) {
  t.test(`given ${name}, when bwrap fails, then the report names what provides the sandbox`, async (t) => {
    const said = explainBwrapFailure(stderr, (path) => settings[path] ?? null);
    t.match(said.howToGet, howToGet);
    t.ok(said.detail.length > 0 && !said.detail.includes('\n'));
  });
}

t.test('given a read-only /proc/sys, when bwrap fails, then only that option is to blame', async (t) => {
  t.ok(isDisableUsernsFailure('bwrap: cannot open /proc/sys/user/max_user_namespaces: Read-only file system'));
  t.notOk(isDisableUsernsFailure('bwrap: No permissions to create new namespace'));
});
