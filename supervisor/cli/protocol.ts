import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { Cli } from './cli.ts';

export function addProtocolVerb(program: Command, cli: Cli, version: string): void {
  program
    .command('protocol')
    .description('print what plugin and supervisor say to each other, for tools')
    .option('--openrpc', 'as an OpenRPC document')
    .option('--schema', 'as JSON Schemas')
    .action(async ({ openrpc, schema }: { openrpc?: true; schema?: true }) => {
      if (openrpc === schema)
        throw new HostError('invalid-params', 'say either --openrpc or --schema', { hint: 'the protocol in words is docs/PROTOCOL.md' });
      const { createOpenRpc, createSchemas } = await import('../author/protocol-documents.ts');
      const document = openrpc ? createOpenRpc(version) : createSchemas();
      await cli.show(document, () => `${JSON.stringify(document, null, 2)}\n`);
    });
}
