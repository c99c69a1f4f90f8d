import type { Library, Tools } from './tools.ts';

export type BwrapFds = { args: number; seccomp: number; status: number };
type File = { path: string; isExecutable: boolean; fd: number };

/**
 * What shuts the cage. It stands on the command line, not in the pipe with the paths: a pipe that ended early, because the supervisor died
 * while writing, must leave a cage without contents and never one without walls.
 */
export function listCage(fds: BwrapFds, disableUserns: boolean, responses: number | null): string[] {
  return [
    ...['--unshare-all', '--unshare-user', ...(disableUserns ? ['--disable-userns'] : []), '--die-with-parent', '--new-session'],
    ...['--cap-drop', 'ALL', '--uid', '65534', '--gid', '65534', '--hostname', 'plugin'],
    ...['--clearenv', '--setenv', 'HOME', '/tmp', '--setenv', 'TMPDIR', '/tmp', '--setenv', 'PATH', '/nonexistent'],
    ...['--setenv', 'LANG', 'C.UTF-8', '--setenv', 'TZ', 'UTC'],
    ...(responses === null ? [] : ['--setenv', 'LATTICE_HOST_RESPONSE_FD', String(responses)]),
    ...['--seccomp', String(fds.seccomp), '--json-status-fd', String(fds.status)],
    // Mounts are made in this order: first what the pipe lists, then everything but the private folder becomes read-only.
    ...['--args', String(fds.args), '--dev', '/dev', '--remount-ro', '/dev', '--remount-ro', '/'],
    ...['--chdir', responses === null ? '/tmp' : '/plugin'],
  ];
}

/** The contents: exact files of the host by path, which is why they go through a pipe that no other user can read. */
export function listBinds(what: { tools: Tools; engine: 'node' | 'native'; tmpBytes: number; files: readonly File[] }): string[] {
  const { tools, engine, tmpBytes } = what;
  const bind = (library: Library) => ['--ro-bind', library.source, library.path];
  const runtime: Library[] = engine === 'node' ? [{ source: tools.node.path, path: '/rt/node' }, ...tools.node.libraries] : [];
  const prlimit: Library[] = tools.prlimit === null ? [] : [{ source: tools.prlimit, path: '/rt/prlimit' }, ...tools.prlimitLibraries];
  // A native plugin does not wait for the supervisor's word by itself; a shell does that before it.
  const shell: Library[] =
    engine === 'node' || tools.shell === null ? [] : [{ source: tools.shell, path: '/rt/sh' }, ...tools.shellLibraries];
  const programs = new Map([...runtime, ...prlimit, ...shell].map((library) => [library.path, library]));
  return [
    ...[...programs.values()].flatMap(bind),
    // The verified bytes themselves, not a path: what is on disk may have changed since.
    ...what.files.flatMap(({ path, isExecutable, fd }) => [
      ...['--perms', isExecutable ? '0500' : '0400', '--ro-bind-data', String(fd), `/plugin/${path}`],
    ]),
    ...['--perms', '0700', '--size', String(tmpBytes), '--tmpfs', '/tmp'],
  ];
}
