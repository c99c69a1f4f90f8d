import { readFile } from 'node:fs/promises';
import { HostError } from '../protocol/errors.ts';
import { checkTrustFile } from './check-paths.ts';

/** The bytes of the trust policy, if nobody but the service's user and root could have put them there. */
export async function readTrustPolicy(file: string, uid: number): Promise<Buffer> {
  checkTrustFile(file, uid);
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new HostError('invalid-params', `the trust policy cannot be read (${error.code ?? 'error'})`, {
      hint: 'LATTICE_PLUGIN_TRUST names a JSON file with the publishers you trust',
    });
  });
}
