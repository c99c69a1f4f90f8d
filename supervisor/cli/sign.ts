import { hash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Cli } from './cli.ts';
import { visible } from './visible.ts';

export function addSignVerb(program: Command, cli: Cli): void {
  program
    .command('sign <bundle>')
    .description('sign a packed bundle; a signature that it has is replaced')
    .requiredOption('-k, --key <file>', 'the private key, made by lattice keygen')
    .action(async (bundle: string, { key: file }: { key: string }) => {
      const { publicKeyText, readPrivateKey } = await import('../publish/private-key.ts');
      const { signBundleFolder } = await import('../publish/sign-bundle.ts');
      const key = readPrivateKey(resolve(file));
      const { id, version, publisher, manifest } = signBundleFolder(bundle, key);
      const signed = { id, version, publisher, public_key: publicKeyText(key), bundle_sha256: hash('sha256', manifest, 'hex') };
      await cli.show(
        signed,
        () =>
          `${id} ${visible(version)} is signed for ${visible(publisher)} with the key ${signed.public_key}\n  bundle ${signed.bundle_sha256}\n`,
      );
    });
}
