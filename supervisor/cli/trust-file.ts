import { resolve } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { BundleFault, readCapped } from '../read-bundle.ts';
import { parseTrustPolicy, type TrustPolicy } from '../trust-policy.ts';
import type { Cli } from './cli.ts';

const mostBytes = 1024 * 1024;

/** The trust policy that is named, or that the service would use; null when there is none. */
export function readTrustFile(cli: Cli, named: string | undefined): TrustPolicy | null {
  const file = named ?? (cli.io.environment.LATTICE_PLUGIN_TRUST || undefined);
  if (file === undefined) return null;
  return parseTrustPolicy(readFileOf(resolve(file), mostBytes), { allowUnsigned: cli.io.environment.LATTICE_ALLOW_UNSIGNED === '1' });
}

/** A file that the user named, within its cap. */
export function readFileOf(file: string, most: number): Buffer {
  try {
    return readCapped(file, file, most);
  } catch (error) {
    if (!(error instanceof BundleFault)) throw error;
    throw new HostError('invalid-params', error.message, { rule: error.code, hint: 'name a readable file' }, { cause: error });
  }
}
