import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Cli } from './cli.ts';

export function addKeygenVerb(program: Command, cli: Cli): void {
  program
    .command('keygen [file]')
    .description('make a publisher’s key: the private half goes to a file that only you can read, the public half is printed')
    .option('-o, --out <file>', 'the same file, said as an option')
    .action(async (file: string | undefined, { out }: { out?: string }) => {
      const { createKeyFile, publicKeyText } = await import('../publish/private-key.ts');
      const target = resolve(out ?? file ?? 'publisher.key');
      const key = publicKeyText(createKeyFile(target));
      await cli.show({ file: target, public_key: key }, () => `${key}\n`);
      if (!cli.json)
        await cli.note(`the private key is in ${target}; in a trust policy: {"trusted_publishers": {"<publisher>": "${key}"}}`);
    });
}
