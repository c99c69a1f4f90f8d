import type { KeyObject } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { createKeyFile, publicKeyText, readPrivateKey } from '../publish/private-key.ts';
import { trustSchemaV2 } from '../trust-policy.ts';

export const developmentPublisher = 'dev.local';
/** What the key made on a developer's machine may sign: never an id that somebody else could publish. */
export const developmentIds = ['example.', 'lattice.'] as const;

/** The key in `<data>/dev/publisher.key`, made at the first start. The service itself never reads it. */
export function ensureDevelopmentKey(dataDir: string): { key: KeyObject; created: boolean } {
  const folder = join(dataDir, 'dev');
  const file = join(folder, 'publisher.key');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    return { key: createKeyFile(file), created: true };
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== 'conflict') throw error;
    return { key: readPrivateKey(file), created: false };
  }
}

/** The trust policy that goes with the key. */
export const developmentPolicy = (key: KeyObject): string =>
  `${JSON.stringify(
    {
      schema: trustSchemaV2,
      publishers: { [developmentPublisher]: { keys: [{ key: publicKeyText(key) }], ids: developmentIds, max_risk: 'host' } },
    },
    null,
    2,
  )}\n`;
