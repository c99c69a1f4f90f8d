import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the package.json above this file: one level up in the sources, two in the packed form. */
export function findPackageRoot(from: string = import.meta.dirname): string {
  if (existsSync(join(from, 'package.json'))) return from;
  const above = dirname(from);
  if (above === from) throw new Error('these files belong to no package');
  return findPackageRoot(above);
}
