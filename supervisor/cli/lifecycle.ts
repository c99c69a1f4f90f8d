import { type Command, Option } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { PluginDetail, PluginView } from '../plugin-view.ts';
import type { Cli } from './cli.ts';
import { apiPath, type Client } from './client.ts';
import { askConsent, describeExchange, describeInstall } from './consent.ts';
import { paintState } from './plugins.ts';
import { visible } from './visible.ts';

/** Every change is made to what was shown: the bundle's digest goes with it, and the service refuses another one. */
export function addLifecycleVerbs(plugins: Command, cli: Cli): void {
  plugins
    .command('install <id>')
    .description('show what a plugin may do, and accept it if you consent')
    .option('--yes', 'consent without being asked')
    .option('--egress <host:port>', 'a host that a v1 or v2 plugin may reach; say it again for each', collect)
    .action((id: string, { yes = false, egress }: { yes?: boolean; egress?: string[] }) => install(cli, id, yes, egress));
  plugins
    .command('egress <id>')
    .description('show the hosts that a plugin may reach, or set them for a v1 or v2 plugin; it is restarted')
    .option('--allow <host:port>', 'a host that it may reach from now on, with no other; say it again for each', collect)
    .addOption(new Option('--none', 'no host').conflicts('allow'))
    .action((id: string, { allow, none }: { allow?: string[]; none?: boolean }) => egress(cli, id, none ? [] : allow));
  plugins
    .command('activate <id>')
    .description('run an installed plugin, or restart it')
    .action((id: string) => changeStatus(cli, id, 'active'));
  plugins
    .command('disable <id>')
    .description('stop a plugin and keep it stopped')
    .action((id: string) => changeStatus(cli, id, 'disabled'));
  plugins
    .command('upgrade <id>')
    .description('show what the bundle on disk changes, and accept it if you consent')
    .option('--yes', 'consent without being asked')
    .action((id: string, { yes = false }: { yes?: boolean }) => upgrade(cli, id, yes));
  plugins
    .command('rollback <id>')
    .description('show what going back to the former version changes, and do it if you consent')
    .option('--yes', 'consent without being asked')
    .action((id: string, { yes = false }: { yes?: boolean }) => rollback(cli, id, yes));
  plugins
    .command('transfer <id>')
    .description('give the id to another publisher of the trust policy, whose bundle is then offered as an upgrade')
    .requiredOption('--to <publisher>', 'the publisher whose the id is from now on')
    .action((id: string, { to }: { to: string }) => transfer(cli, id, to));
  plugins
    .command('reset <id>')
    .description('forget the crashes of a plugin that was given up, and start it again')
    .action((id: string) => reset(cli, id));
}

const look = (client: Client, id: string) => client.request<PluginDetail>('GET', apiPath('plugins', id));
const post = (client: Client, id: string, status: string, shown: PluginDetail, egress?: string[]) =>
  client.request<PluginView>('POST', '/api/plugins/lifecycle', {
    body: {
      id,
      status,
      ...(status === 'disabled' ? {} : { bundle_sha256: shown.bundle_sha256 }),
      ...(egress === undefined ? {} : { egress }),
    },
  });

async function tell(cli: Cli, plugin: PluginView): Promise<void> {
  const state = plugin.runtime ? `, ${paintState(cli, plugin.runtime.state)}` : '';
  const message = plugin.runtime?.message ? `: ${visible(plugin.runtime.message)}` : '';
  await cli.show(plugin, () => `${plugin.id} ${visible(plugin.version)} is ${paintState(cli, plugin.status)}${state}${message}\n`);
}

const collect = (host: string, before: string[] = []): string[] => [...before, host];

async function egress(cli: Cli, id: string, hosts: string[] | undefined): Promise<void> {
  const client = await cli.connect();
  const plugin =
    hosts === undefined
      ? await look(client, id)
      : await client.request<PluginView>('PUT', apiPath('plugins', id, 'egress'), { body: { egress: hosts } });
  const listed = plugin.egress.length === 0 ? 'no host' : plugin.egress.map(visible).join(', ');
  await cli.show(
    { id, egress: plugin.egress, egress_set_by: plugin.egress_set_by },
    () => `${id} may reach ${listed} (set by its ${plugin.egress_set_by})\n`,
  );
}

async function install(cli: Cli, id: string, yes: boolean, egress: string[] | undefined): Promise<void> {
  const client = await cli.connect();
  const shown = await look(client, id);
  if (shown.status === 'verified') {
    const withHosts = { ...shown, egress: egress ?? shown.egress };
    await askConsent(cli, describeInstall(withHosts, cli.paintNote), 'Install it?', yes);
  }
  await tell(cli, await post(client, id, 'installed', shown, egress));
}

async function changeStatus(cli: Cli, id: string, status: 'active' | 'disabled'): Promise<void> {
  const client = await cli.connect();
  await tell(cli, await post(client, id, status, await look(client, id)));
}

async function upgrade(cli: Cli, id: string, yes: boolean): Promise<void> {
  const client = await cli.connect();
  const shown = await look(client, id);
  if (!shown.upgrade) {
    throw new HostError('conflict', `there is no other bundle of ${id} on disk`, {
      hint: 'put the new one in the plugin directory, then: lattice plugins rescan',
    });
  }
  const question = shown.upgrade.downgrade ? 'Downgrade it?' : 'Upgrade it?';
  await askConsent(cli, describeExchange(shown, shown.upgrade, shown.upgrade_verification, cli.paintNote), question, yes);
  const body = { bundle_sha256: shown.upgrade.bundle_sha256 };
  await tell(cli, await client.request<PluginView>('POST', apiPath('plugins', id, 'upgrade'), { body }));
}

async function rollback(cli: Cli, id: string, yes: boolean): Promise<void> {
  const client = await cli.connect();
  const shown = await look(client, id);
  if (!shown.rollback) {
    throw new HostError('conflict', `${id} has no former version to go back to`, {
      hint: 'put the bundle you want in the plugin directory, then: lattice plugins rescan, lattice plugins upgrade',
    });
  }
  await askConsent(cli, describeExchange(shown, shown.rollback, shown.rollback_verification, cli.paintNote), 'Go back to it?', yes);
  const body = { bundle_sha256: shown.rollback.bundle_sha256 };
  await tell(cli, await client.request<PluginView>('POST', apiPath('plugins', id, 'rollback'), { body }));
}

async function transfer(cli: Cli, id: string, publisher: string): Promise<void> {
  const client = await cli.connect();
  const plugin = await client.request<PluginView>('POST', apiPath('plugins', id, 'transfer'), { body: { publisher } });
  const next = plugin.upgrade
    ? `version ${visible(plugin.upgrade.version)} is on disk: lattice plugins upgrade ${plugin.id}`
    : 'put its bundle in the plugin directory, then: lattice plugins rescan';
  const owner = visible(plugin.transferred_to ?? plugin.publisher);
  const stays = plugin.transferred_to
    ? `; version ${visible(plugin.version)} by ${visible(plugin.publisher)} stays until an upgrade\n  ${next}`
    : '';
  await cli.show(plugin, () => `${plugin.id} belongs to ${owner}${stays}\n`);
}

async function reset(cli: Cli, id: string): Promise<void> {
  const client = await cli.connect();
  await tell(cli, await client.request<PluginView>('POST', apiPath('plugins', id, 'reset')));
}
