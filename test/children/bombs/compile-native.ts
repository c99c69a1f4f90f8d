import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('./native.c', import.meta.url));

/** The bytes of the native bomb as a static executable; null where there is no compiler for it. */
export function compileNative(): Buffer | null {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-bomb-'));
  const program = join(folder, 'bomb');
  try {
    execFileSync('cc', ['-static', '-O1', '-o', program, source], { stdio: 'ignore' });
    return readFileSync(program);
  } catch {
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const readBomb = (name: 'bombs.js' | 'floods.js' | 'prints.js'): string =>
  readFileSync(new URL(`./${name}`, import.meta.url), 'utf8');
