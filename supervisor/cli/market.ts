import type { Command } from 'commander';
import type { Cli } from './cli.ts';

type SignOptions = { key: string; publisher: string };
const files = () => import('./market-files.ts'); // loaded for the verbs that need them only
const verbs = () => import('./market-verbs.ts');

export function addMarketVerbs(program: Command, cli: Cli): void {
  const market = program.command('market').description('look at plugins that an index offers; nothing is ever installed by it');
  market
    .command('list', { isDefault: true })
    .description('list what the last good index offers, with the install checks as far as they are known')
    .option('--all', 'every release, not only what the channels offer')
    .action(async ({ all }: { all?: boolean }) => (await verbs()).listCandidates(cli, all === true));
  market
    .command('show <id>')
    .description('show the releases of one plugin: what they may do, and each check with its reason')
    .action(async (id: string) => (await verbs()).showCandidates(cli, id));
  market
    .command('refresh')
    .description('read the index anew; one that is refused leaves the last good one in place')
    .action(async () => (await verbs()).refreshIndex(cli));
  market
    .command('fetch <id@version>')
    .description('fetch one release into quarantine and make all checks; nothing is installed')
    .action(async (name: string) => (await verbs()).fetchCandidate(cli, name));
  market
    .command('check <file>')
    .description('check an index without a service: its form, its time and, with a trust policy, its signatures')
    .option('--trust <file>', 'the trust policy with the pinned index keys; else LATTICE_PLUGIN_TRUST')
    .action(async (file: string, options: { trust?: string }) => (await files()).checkIndexFile(cli, file, options));
  market
    .command('sign <file>')
    .description('sign an index, for those who publish one; signatures of other publishers stay')
    .requiredOption('-k, --key <file>', 'the private key, made by lattice keygen')
    .requiredOption('--publisher <id>', 'whose signature it is, one of the publishers in the index')
    .action(async (file: string, options: SignOptions) => (await files()).signIndexFile(cli, file, options));
}
