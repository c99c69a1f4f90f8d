import type { Command } from 'commander';
import type { Cli } from './cli.ts';

export function addInspectVerb(program: Command, cli: Cli): void {
  program
    .command('inspect <bundle>')
    .description('tell what a bundle says of itself: what it is, may do, talks to and uses; nothing is verified')
    .action(async (bundle: string) => {
      const { inspect } = await import('./inspect-bundle.ts'); // the other verbs start faster without it
      await inspect(cli, bundle);
    });
}
