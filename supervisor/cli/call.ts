import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { Cli } from './cli.ts';
import { apiPath } from './client.ts';
import { readJsonArgument } from './options.ts';
import { visibleJson } from './visible.ts';

export function addCallVerbs(plugins: Command, cli: Cli): void {
  plugins
    .command('call <id> <service.method> [payload]')
    .description('call a service method; the payload is JSON, or - to read it from stdin')
    .action((id: string, name: string, payload?: string) => call(cli, { id, ...splitMethod(name) }, payload));
  const config = plugins.command('config').description('see and change what a plugin is configured with');
  config
    .command('get <id>')
    .description('show the configuration')
    .action((id: string) => getConfig(cli, id));
  config
    .command('set <id> <json>')
    .description('replace the configuration by this JSON object, or - to read it from stdin; an active plugin is restarted')
    .action((id: string, json: string) => setConfig(cli, id, json));
}

function splitMethod(name: string): { service: string; method: string } {
  const [service, method, ...more] = name.split('.');
  if (service && method && more.length === 0) return { service, method };
  throw new HostError('invalid-params', 'the method is named service.method', {
    hint: 'for example: lattice plugins call example.hello greeter.greet \'{"name":"Ada"}\'',
  });
}

async function call(cli: Cli, asked: { id: string; service: string; method: string }, payload: string | undefined): Promise<void> {
  const given = payload === undefined ? {} : { payload: await readJsonArgument(cli, payload, 'the payload') };
  const result = await (await cli.connect()).request('POST', '/api/plugins/call', { body: { ...asked, ...given } });
  await cli.show(result, () => `${visibleJson(result, 2)}\n`);
}

async function getConfig(cli: Cli, id: string): Promise<void> {
  const config = await (await cli.connect()).request('GET', apiPath('plugins', id, 'config'));
  await cli.show(config, () => `${visibleJson(config, 2)}\n`);
}

async function setConfig(cli: Cli, id: string, json: string): Promise<void> {
  const body = await readJsonArgument(cli, json, 'the configuration');
  const config = await (await cli.connect()).request('PUT', apiPath('plugins', id, 'config'), { body });
  await cli.show(config, () => `the configuration of ${id} is set\n`);
}
