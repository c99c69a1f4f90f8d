import type { Command } from 'commander';
import { capabilities, capabilityNames, risks } from '../../protocol/capabilities.ts';
import type { Cli } from './cli.ts';

export function addCapsVerb(program: Command, cli: Cli): void {
  program
    .command('caps')
    .description('list every capability: its risk, what a plugin that holds it can do, and the methods it opens')
    .action(async () => {
      const { hostMethodNames, hostMethods } = await import('../../protocol/host-methods.ts'); // loads every schema
      const rows = risks.flatMap((risk) =>
        capabilityNames
          .filter((name) => capabilities[name].risk === risk)
          .map((name) => ({
            capability: name,
            risk,
            sentence: capabilities[name].sentence,
            methods: hostMethodNames.filter((method) => hostMethods[method].capability === name),
          })),
      );
      const columns = [
        { title: 'CAPABILITY', keep: true },
        { title: 'RISK', keep: true },
        { title: 'A PLUGIN THAT HOLDS IT CAN' },
        { title: 'METHODS' },
      ];
      const cells = rows.map((row) => [row.capability, row.risk, row.sentence, row.methods.join(' ') || '-']);
      await cli.show({ capabilities: rows }, () => cli.table(columns, cells, ''));
    });
}
