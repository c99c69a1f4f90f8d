import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cutPower, type PowerCut } from './power-cut.ts';

/** What a rule is about. `any`: every call that changes something. */
const ops = ['any', 'write', 'sync', 'truncate', 'create', 'rename', 'remove', 'read'] as const;
const errors = { none: 0, EIO: 5, EACCES: 13, ENOSPC: 28, EROFS: 30, EDQUOT: 122 } as const;
const [ruleBytes, rulesMost] = [256, 8];

/** From the `first` matching call on (1 if left out), `count` calls (all if left out) fail with `error`, are late by `delayMs`, or both. */
export type DiskRule = {
  op: (typeof ops)[number];
  error?: keyof typeof errors;
  delayMs?: number;
  first?: number;
  count?: number;
  match?: string; // a part of the path
};
export type Disk = ReturnType<typeof createDisk>;

const source = fileURLToPath(new URL('disk.c', import.meta.url));
const hasGcc = spawnSync('gcc', ['--version'], { stdio: 'ignore' }).status === 0;
export const whyNoDisk: string | false = hasGcc ? false : 'gcc is not installed';

/** Compiles the library into a folder and returns its path. */
export function buildDisk(folder: string): string {
  const library = join(folder, 'disk.so');
  execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', library, source, '-ldl', '-lpthread']);
  return library;
}

/**
 * A disk that the test commands, for what one process does below `root` (which exists): give it `env` as its environment, its children must
 * not inherit that. With `journal: true` it also keeps what is not synced, for `cutPower` after the process was killed; then no sync reaches
 * the real disk.
 */
export function createDisk(options: { library: string; root: string; journal?: boolean }) {
  const { library, root } = options;
  const folder = mkdtempSync(join(options.journal ? join(root, '..') : tmpdir(), 'disk-')); // a journal lies on the file system of what it is about
  const control = openSync(join(folder, 'control'), 'w+');
  writeSync(control, Buffer.alloc(ruleBytes * rulesMost), 0, ruleBytes * rulesMost, 0);
  let journals = 0;
  let journal = '';
  const env: Record<string, string> = { LD_PRELOAD: library, DISK_ROOT: root, DISK_CONTROL: join(folder, 'control') };

  function beginJournal(): void {
    journal = join(folder, `journal-${++journals}`);
    mkdirSync(journal);
    env.DISK_JOURNAL = journal;
  }
  if (options.journal) beginJournal();

  return {
    env,
    /** Sets the rule in one of eight places; it holds for the next call of a running process. */
    set(rule: DiskRule, place = 0): void {
      const { op, error = 'none', delayMs = 0, first = 1, count = 0, match = '' } = rule;
      const bytes = Buffer.alloc(ruleBytes);
      for (const [at, value] of [ops.indexOf(op), errors[error], first, count, delayMs].entries()) bytes.writeUInt32LE(value, 4 + 4 * at);
      bytes.write(match, 32);
      writeSync(control, bytes, 0, ruleBytes, place * ruleBytes);
      writeSync(control, Buffer.from([1]), 0, 1, place * ruleBytes); // only now: it is read while it is written
    },
    clear: (place = 0): void => void writeSync(control, Buffer.alloc(4), 0, 4, place * ruleBytes),
    /** How many calls the rule looked at, and how many it failed or held up. */
    counted(place = 0): { seen: number; hit: number } {
      const bytes = Buffer.alloc(ruleBytes);
      readSync(control, bytes, 0, ruleBytes, place * ruleBytes);
      return { seen: bytes.readUInt32LE(24), hit: bytes.readUInt32LE(28) };
    },
    /** After the process was killed: takes back what was not synced (see power-cut.ts), and begins a journal for the next process. */
    cutPower(keep?: number, chance?: () => number): PowerCut {
      const cut = cutPower(root, journal, keep, chance);
      rmSync(journal, { recursive: true });
      beginJournal();
      return cut;
    },
    close(): void {
      closeSync(control);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
