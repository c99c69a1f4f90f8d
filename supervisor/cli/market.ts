import type { Command } from 'commander';
import type { Cli } from './cli.ts';

export function addMarketVerbs(program: Command, cli: Cli): void {
  const market = program.command('market').description('look at plugins that an index offers; nothing is ever installed by it');
  market
    .command('check <file>')
    .description('check an index without a service: its form, its time and, with a trust policy, its signatures')
    .option('--trust <file>', 'the trust policy with the pinned index keys; else LATTICE_PLUGIN_TRUST')
    .action(async (file: string, options: { trust?: string }) => (await import('./market-files.ts')).checkIndexFile(cli, file, options));
  market
    .command('sign <file>')
    .description('sign an index, for those who publish one; signatures of other publishers stay')
    .requiredOption('-k, --key <file>', 'the private key, made by lattice keygen')
    .requiredOption('--publisher <id>', 'whose signature it is, one of the publishers in the index')
    .action(async (file: string, options: { key: string; publisher: string }) =>
      (await import('./market-files.ts')).signIndexFile(cli, file, options),
    );
}
