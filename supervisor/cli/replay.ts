import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { Difference } from '../dev/replay/replay-session.ts';
import type { Cli } from './cli.ts';
import { visibleJson } from './visible.ts';

type Flags = { strict?: true; loose?: true; junit?: string };

export function addReplayVerb(program: Command, cli: Cli): void {
  program
    .command('replay <session> [folder]')
    .description('play a record of lattice dev --record against the plugin, without the world, and tell the first difference')
    .option('--strict', 'everything must come as it was, in its order (the default)')
    .option('--loose', 'another order, other times and random ids, other error texts, log lines and progress are no difference')
    .option('--junit <file>', 'write the result for a CI system')
    .action((file: string, folder: string | undefined, flags: Flags) => replay(cli, file, folder ?? '.', flags));
}

async function replay(cli: Cli, file: string, folder: string, flags: Flags): Promise<void> {
  if (flags.strict && flags.loose) throw new HostError('invalid-params', '--strict and --loose exclude each other', { hint: 'choose one' });
  const { readSession } = await import('../dev/replay/session-file.ts');
  const { replaySession } = await import('../dev/replay/replay-session.ts');
  const { writeJunit } = await import('../dev/replay/write-junit.ts');
  const name = basename(file);
  const session = readSession(file);
  const report = await replaySession({ folder, session, mode: flags.loose ? 'loose' : 'strict' });
  const describe = (difference: object) => describeDifference(name, difference as Difference); // only a report's difference is passed on
  if (flags.junit !== undefined) writeFileSync(flags.junit, writeJunit(report, name, describe));
  const { difference, invocations } = report;
  if (difference)
    throw new HostError('conflict', describeDifference(name, difference), { rule: 'replay', ...difference, hint: difference.what });
  await cli.show({ ok: true, invocations }, () => `the plugin does what is in ${name}: ${invocations.length} calls\n`);
}

function describeDifference(name: string, { line, what, expected, got, path }: Difference): string {
  const place = path === null ? '' : `, first at ${path}`;
  return `${name}:${line}: ${what}${place}: expected ${visibleJson(expected)}, got ${visibleJson(got)}`;
}
