import { resolve } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** The data directory that the CLI means: LATTICE_DATA_DIR, else `var` in the project. */
export const findDataDir = (environment: Environment, projectRoot: string): string =>
  resolve(environment.LATTICE_DATA_DIR || resolve(projectRoot, 'var'));
