import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, constants, fchmodSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { readPrivateKey } from '../publish/pack-plugin.ts';
import { trustSchemaV2 } from '../trust-policy.ts';

export const developmentPublisher = 'dev.local';
/** What the key made on a developer's machine may sign: never an id that somebody else could publish. */
export const developmentIds = ['example.', 'lattice.'] as const;

/** The key in `<data>/dev/publisher.key`, made at the first start: 0600, exclusive, no link followed. The service itself never reads it. */
export function ensureDevelopmentKey(dataDir: string): { key: KeyObject; created: boolean } {
  const folder = join(dataDir, 'dev');
  const file = join(folder, 'publisher.key');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync('ed25519');
  const draft = `${file}.${process.pid}.new`; // whole before it gets its name: a crash must not leave an empty key
  try {
    const descriptor = openSync(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      fchmodSync(descriptor, 0o600);
      writeSync(descriptor, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(draft, file); // fails when there is one, or a link to somewhere
    return { key: privateKey, created: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return { key: readPrivateKey(file), created: false };
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The public half, as a trust policy writes it. */
export const publicKeyText = (key: KeyObject): string =>
  Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url').toString('base64');

/** The trust policy that goes with the key. */
export function developmentPolicy(key: KeyObject): string {
  const publicKey = publicKeyText(key);
  return `${JSON.stringify({ schema: trustSchemaV2, publishers: { [developmentPublisher]: { keys: [{ key: publicKey }], ids: developmentIds, max_risk: 'host' } } }, null, 2)}\n`;
}
