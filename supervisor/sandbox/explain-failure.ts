export type Explanation = { detail: string; howToGet: string };
/** Reads a kernel setting as text; null when this kernel has no such setting. */
export type ReadSetting = (path: string) => string | null;

const settings = {
  usernsClone: '/proc/sys/kernel/unprivileged_userns_clone',
  usernsMost: '/proc/sys/user/max_user_namespaces',
  apparmor: '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
} as const;

/** Which setting keeps bwrap from building the cage, told by its own words and by what the kernel says of itself. */
export function explainBwrapFailure(stderr: string, readSetting: ReadSetting): Explanation {
  const said = stderr.trim().split('\n')[0]?.slice(0, 300) ?? '';
  const is = (path: string, value: string) => readSetting(path)?.trim() === value;
  if (is(settings.usernsClone, '0')) {
    return { detail: 'the kernel forbids unprivileged user namespaces', howToGet: 'sysctl -w kernel.unprivileged_userns_clone=1' };
  }
  if (is(settings.usernsMost, '0') || /ENOSPC/.test(said)) {
    return { detail: 'the kernel allows no more user namespaces', howToGet: 'sysctl -w user.max_user_namespaces=15000' };
  }
  if (is(settings.apparmor, '1') && /uid map|Permission denied/.test(said)) {
    return {
      detail: 'AppArmor lets bwrap create no user namespace',
      howToGet: 'apt-get install apparmor-profiles, then load its bwrap-userns-restrict profile, or another one that grants bwrap `userns`',
    };
  }
  if (/No permissions to create (a )?new namespace|Creating new namespace failed/.test(said)) {
    return {
      detail: 'the system call filter of a container or service unit forbids new namespaces',
      howToGet:
        'in Docker: a seccomp profile that allows unshare, clone and mount in user namespaces; under systemd: no RestrictNamespaces=yes',
    };
  }
  if (said === '') return { detail: 'bwrap ended without a word', howToGet: 'run lattice doctor with LATTICE_LOG_LEVEL=debug' };
  return { detail: said, howToGet: 'mend what bwrap reports, then run lattice doctor again' };
}

/** Whether bwrap failed only at closing the door to further user namespaces, as where /proc/sys is read-only. */
export const isDisableUsernsFailure = (stderr: string): boolean => /max_user_namespaces|disable-userns|\/proc\/sys\/user/.test(stderr);

/** Whether a program could not do its work because the host had nothing left at that moment, for which any of its users may be the reason. */
export const isPassingFailure = (stderr: string): boolean =>
  /Resource temporarily unavailable|Cannot allocate memory|Too many open files/.test(stderr);
