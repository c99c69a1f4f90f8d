import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A native plugin from its C source, a path below test/children; null where there is no compiler with a static libc. */
export function compilePlugin(name: string): Buffer | null {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-native-'));
  const program = join(folder, 'plugin');
  try {
    execFileSync('cc', ['-static', '-O1', '-w', '-o', program, fileURLToPath(new URL(`../children/${name}`, import.meta.url))], {
      stdio: 'ignore',
    });
    return readFileSync(program);
  } catch {
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
