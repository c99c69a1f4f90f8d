import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { findPackageRoot } from '../package-root.ts';
import { loadRunnerBundle } from '../runner-bundle.ts';

/**
 * Runs before `npm pack`: everything as JavaScript with its types under `dist/`, because Node strips no types below node_modules; the files
 * that are read as they are; and the runner of the children as one file.
 */
const root = findPackageRoot();
const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
await execa(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], { stdio: ['ignore', 'inherit', 'inherit'] });
for (const file of globSync('supervisor/**/{*.sql,*.tmpl,inspector/*.{html,css,js}}', { cwd: root })) {
  mkdirSync(join(dist, dirname(file)), { recursive: true });
  cpSync(join(root, file), join(dist, file));
}
writeFileSync(join(dist, 'supervisor', 'runner-child.mjs'), await loadRunnerBundle());
