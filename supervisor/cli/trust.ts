import type { Command } from 'commander';
import type { describePolicy } from '../http/trust-routes.ts';
import type { Cli } from './cli.ts';
import { visible } from './visible.ts';

type Trust = ReturnType<typeof describePolicy>;

export function addTrustVerb(program: Command, cli: Cli): void {
  program
    .command('trust')
    .description('show the trust policy in force: who may sign which plugins, until when, and what is revoked')
    .action(async () => {
      const trust = await (await cli.connect()).request<Trust>('GET', '/api/plugin-trust');
      await cli.show(trust, () => describe(cli, trust));
    });
}

const columns = [{ title: 'PUBLISHER', keep: true }, { title: 'KEY', keep: true }, { title: 'UNTIL' }, { title: 'IDS' }, { title: 'RISK' }];

function describe(cli: Cli, trust: Trust): string {
  const rows = trust.rules.flatMap(({ publisher, keys, ids, max_risk }) =>
    keys.map(({ key, not_after, revoked }) => [
      visible(publisher),
      visible(key),
      revoked ? 'revoked' : (not_after ?? 'always'),
      ids === null ? 'any' : visible(ids.join(' ')),
      `up to ${max_risk}`,
    ]),
  );
  const unsigned = trust.allow_unsigned
    ? `Unsigned v1 bundles are let in${trust.allow_unsigned_host_risk ? ', also with host capabilities' : ', without host capabilities'}.\n`
    : '';
  const index = trust.index ? `A marketplace index needs ${trust.index.threshold} of ${trust.index.keys.length} keys.\n` : '';
  return `${cli.table(columns, rows, 'Nobody is trusted to sign plugins.')}${unsigned}${index}`;
}
