import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Home } from './start-service.ts';

const run = (file: string, ...args: string[]) => spawnSync(file, args, { encoding: 'utf8' });

/** Why tests that need a disk of their own are skipped, or false. */
export const skipWithoutMount: string | false = tryMount();

function tryMount(): string | false {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-mount-'));
  try {
    const { status, stderr } = run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder);
    if (status === 0) run('umount', folder);
    return status === 0 ? false : `a small disk cannot be mounted here: ${stderr?.trim() || 'mount is missing'}`;
  } finally {
    rmdirSync(folder);
  }
}

/** A disk of so many MiB in the place of the data directory; it goes with the home. */
export function mountSmallDisk(home: Home, mib: number) {
  const folder = home.dataDir;
  mkdirSync(folder);
  const must = (file: string, ...args: string[]): void => {
    const { status, stderr } = run(file, ...args);
    if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr}`);
  };
  must('mount', '-t', 'tmpfs', '-o', `size=${mib}m,mode=0700`, 'tmpfs', folder);
  home.clearing.push(() => must('umount', '--lazy', folder));
  const filler = join(folder, 'filler');
  return {
    /** Takes every byte that is left, so that no file grows any more. */
    fill(): void {
      for (let bytes = 1024 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2))
        for (;;) {
          try {
            appendFileSync(filler, Buffer.alloc(bytes));
          } catch {
            break;
          }
        }
    },
    free: (): void => rmSync(filler, { force: true }),
    grow: (to: number): void => must('mount', '-o', `remount,size=${to}m`, folder),
    /** The kernel refuses to make it read-only while a file on it is open for writing. */
    setWritable: (writable: boolean): void => must('mount', '-o', `remount,${writable ? 'rw' : 'ro'}`, folder),
  };
}
