import type { Command } from 'commander';
import type { Cli } from './cli.ts';

export type FeedOptions = { file?: string; journal?: string; service: string; method: string; fromStart?: boolean };

export function addFeedVerb(program: Command, cli: Cli): void {
  program
    .command('feed <id>')
    .description('hand the lines of a log to a plugin as they come, until interrupted; goes on where it stopped')
    .option('--file <path>', 'a log file, through its rotations')
    .option('--journal <what>', 'entries of the system journal: ssh')
    .option('--service <name>', 'the service that takes them', 'feed')
    .option('--method <name>', 'its method', 'ingest')
    .option('--from-start', 'begin with what is there already, if there is no earlier place to go on from')
    .action(async (id: string, options: FeedOptions) => {
      const { feedLog } = await import('./feed-log.ts'); // the other verbs start faster without it
      await feedLog(cli, id, options);
    });
}
