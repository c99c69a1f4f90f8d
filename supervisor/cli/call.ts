import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';
import type { Cli } from './cli.ts';
import { apiPath, asAnsweredError, type Client } from './client.ts';
import { readJsonArgument } from './options.ts';
import { visibleJson } from './visible.ts';

export function addCallVerbs(plugins: Command, cli: Cli): void {
  plugins
    .command('call <id> <service.method> [payload]')
    .description('call a service method; the payload is JSON, or - to read it from stdin')
    .option('--progress', 'show on stderr how far the call has come, where the plugin tells')
    .action((id: string, name: string, payload: string | undefined, { progress }: { progress?: boolean }) =>
      call(cli, { id, ...splitMethod(name) }, payload, progress ?? false),
    );
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

type Asked = { id: string; service: string; method: string };

async function call(cli: Cli, asked: Asked, payload: string | undefined, progress: boolean): Promise<void> {
  const given = payload === undefined ? {} : { payload: await readJsonArgument(cli, payload, 'the payload') };
  const client = await cli.connect();
  const body = { ...asked, ...given };
  const result = progress ? await follow(cli, client, body) : await client.request('POST', '/api/plugins/call', { body });
  await cli.show(result, () => `${visibleJson(result, 2)}\n`);
}

/** Each progress is a line on stderr, so that stdout holds the result alone. */
async function follow(cli: Cli, client: Client, body: object): Promise<unknown> {
  for await (const { event, data } of client.events('/api/plugins/call', { method: 'POST', body })) {
    if (event === 'progress') await cli.note(visibleJson(parseJson(data)));
    if (event === 'result') return parseJson(data);
    if (event === 'problem') throw asAnsweredError(parseJson(data));
  }
  throw new HostError('unavailable', 'the service ended before it answered', { hint: 'see whether it still runs' });
}

async function getConfig(cli: Cli, id: string): Promise<void> {
  const config = await (await cli.connect()).request('GET', apiPath('plugins', id, 'config'));
  await cli.show(config, () => `${visibleJson(config, 2)}\n`);
}

async function setConfig(cli: Cli, id: string, json: string): Promise<void> {
  const body = await readJsonArgument(cli, json, 'the configuration');
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new HostError('invalid-params', 'the configuration is a JSON object, one field for each setting', {
      hint: `lattice plugins config set ${id} '{"city": "Hamburg"}'`,
    });
  const config = await (await cli.connect()).request('PUT', apiPath('plugins', id, 'config'), { body });
  await cli.show(config, () => `the configuration of ${id} is set\n`);
}
