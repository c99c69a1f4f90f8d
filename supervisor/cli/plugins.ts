import type { Command } from 'commander';
import { nameOfChange } from '../name-of-change.ts';
import type { ConsentView, PluginBrief, PluginDetail, RefusedBundle } from '../plugin-view.ts';
import { addCallVerbs } from './call.ts';
import type { Cli } from './cli.ts';
import { apiPath } from './client.ts';
import { describeCapabilities, describeForm, describeVerification } from './consent.ts';
import { describePayloads } from './describe-payloads.ts';
import { addLifecycleVerbs } from './lifecycle.ts';
import { addLogVerbs } from './logs.ts';
import { signerOf } from './signer.ts';
import { visible } from './visible.ts';
import { showWhy } from './why.ts';

export function addPluginVerbs(program: Command, cli: Cli): void {
  const plugins = program.command('plugins').description('see and manage plugins');
  plugins
    .command('list')
    .description('list every plugin with its status and state')
    .action(() => listPlugins(cli));
  plugins
    .command('show <id>')
    .description('show one plugin: what it is, what it may do, how it is')
    .action((id: string) => showPlugin(cli, id));
  plugins
    .command('why <id>')
    .description('tell why a plugin is in its state')
    .action((id: string) => showWhy(cli, id));
  plugins
    .command('refused')
    .description('list the folders whose bundle was refused, with the reason')
    .action(() => listRefused(cli));
  plugins
    .command('rescan')
    .description('look for bundles again')
    .action(() => rescan(cli));
  addLifecycleVerbs(plugins, cli);
  addLogVerbs(plugins, cli);
  addCallVerbs(plugins, cli);
}

/** How the plugin is, in one word, painted by how good that is. */
export function paintState(cli: Cli, text: string): string {
  if (/^(armed|active)$/.test(text)) return cli.paint('green', text);
  if (/^failed$/.test(text)) return cli.paint('red', text);
  return /^(restarting|starting|stopping)$/.test(text) ? cli.paint('yellow', text) : text;
}

function remark(plugin: PluginBrief): string {
  const { message, upgrade, refused, available, transferred_to, other_runtimes } = plugin;
  const parts = [message];
  for (const { role, version } of other_runtimes)
    parts.push(role === 'incoming' ? `going over to ${version}` : `${version} finishes its calls`);
  if (upgrade) parts.push(`${nameOfChange(upgrade.change)} ${upgrade.version} available, risk ${upgrade.risk}`);
  if (transferred_to) parts.push(`now belongs to ${transferred_to}`);
  if (refused) parts.push(`bundle on disk refused: ${refused.code}`);
  else if (!available) parts.push('bundle not on disk');
  return parts.filter((part) => part !== null).join('; ');
}

async function listPlugins(cli: Cli): Promise<void> {
  const list = await (await cli.connect()).request<PluginBrief[]>('GET', '/api/plugins');
  const columns = [
    { title: 'ID', keep: true },
    { title: 'VERSION', keep: true },
    { title: 'PUBLISHER' },
    { title: 'STATUS', keep: true, paint: (text: string) => paintState(cli, text) },
    { title: 'STATE', keep: true, paint: (text: string) => paintState(cli, text) },
    { title: 'SANDBOX' },
    { title: 'REMARK' },
  ];
  const rows = list.map((each) => [
    each.id,
    each.version,
    signerOf(each),
    each.status,
    each.state ?? '-',
    each.sandbox ?? '-',
    remark(each),
  ]);
  await cli.show(list, () =>
    cli.table(columns, rows, 'There are no plugins. Bundles are looked for in the plugin directory: lattice plugins rescan'),
  );
}

async function showPlugin(cli: Cli, id: string): Promise<void> {
  const plugin = await (await cli.connect()).request<PluginDetail>('GET', apiPath('plugins', id));
  await cli.show(plugin, () => `${describePlugin(cli, plugin).join('\n')}\n`);
}

function describePlugin(cli: Cli, plugin: PluginDetail): string[] {
  const { runtime } = plugin;
  const field = (name: string, value: string) => `${cli.paint('dim', name.padEnd(10))} ${value}`;
  const methods = plugin.services.flatMap((service) =>
    service.methods.map(
      (method) =>
        `    - ${service.name}.${method.name}${describePayloads(method)} (${method.effect}; needs ${[...new Set(['plugin:call', ...(method.scopes.length > 0 ? method.scopes : ['plugin:admin'])])].join(' ')})`,
    ),
  );
  return [
    `${cli.paint('bold', visible(plugin.name))} (${plugin.id}) ${visible(plugin.version)}`,
    field('publisher', signerOf(plugin)),
    field('type', `${plugin.type}, ${plugin.engine}, ${describeForm(plugin)}`),
    field('status', paintState(cli, plugin.status) + whyAway(plugin)),
    ...(runtime ? [field('state', paintState(cli, runtime.state) + (runtime.message ? `: ${visible(runtime.message)}` : ''))] : []),
    ...(runtime?.pid ? [field('process', `pid ${runtime.pid}, ${runtime.runner}, sandbox ${runtime.sandbox ?? 'none'}`)] : []),
    ...(runtime?.limits_not_enforced.length ? [field('not held', runtime.limits_not_enforced.map(visible).join(', '))] : []),
    ...plugin.other_runtimes.map(({ role, version, state, pid }) =>
      field(role, `${visible(version)}, ${state}${pid === null ? '' : `, pid ${pid}`}`),
    ),
    ...(plugin.transferred_to ? [field('owner', `${visible(plugin.transferred_to)}, since a transfer`)] : []),
    ...(plugin.upgrade
      ? [
          field(
            'upgrade',
            `${nameOfChange(plugin.upgrade.change)} ${visible(plugin.upgrade.version)}: lattice plugins upgrade ${plugin.id}`,
          ),
        ]
      : []),
    ...(plugin.rollback ? [field('former', `${visible(plugin.rollback.version)}: lattice plugins rollback ${plugin.id}`)] : []),
    field('bundle', plugin.bundle_sha256),
    field('artifact', plugin.artifact_sha256),
    ...describeVerification(plugin.verification, cli.paint, true),
    ...describeCapabilities(plugin.capabilities, plugin, cli.paint),
    ...(methods.length ? ['  It answers calls of:', ...methods.map(visible)] : []),
    ...(plugin.consents.length ? ['  Consents:', ...plugin.consents.slice(0, consentsShown).map(describeConsent)] : []),
  ];
}

const consentsShown = 5; // with --json all that the service tells

function describeConsent({ time, kind, actor, version, publisher, bundle_sha256, capabilities: held, egress }: ConsentView): string {
  const who = actor === null ? 'somebody unknown' : visible(actor);
  if (kind === 'transfer') return `    ${visible(time)} ${who} gave the id to ${visible(publisher)}`;
  if (kind === 'egress') return `    ${visible(time)} ${who} set the hosts: ${egress.map(visible).join(' ') || 'none'}`;
  const reach = [...held, ...egress].map(visible).join(' ') || 'nothing';
  return `    ${visible(time)} ${who} accepted ${visible(version)} (${kind}, bundle ${bundle_sha256.slice(0, 12)}): ${reach}`;
}

const whyAway = ({ refused, available }: PluginDetail): string =>
  refused
    ? ` (its bundle on disk is refused: ${visible(refused.code)}: ${visible(refused.detail)})`
    : available
      ? ''
      : ' (its bundle is not on disk)';

const refusedColumns = [{ title: 'FOLDER', keep: true }, { title: 'CODE', keep: true }, { title: 'REASON' }];
const refusedRows = (refused: RefusedBundle[]) => refused.map((each) => [each.folder, each.code, each.detail]);

async function listRefused(cli: Cli): Promise<void> {
  const refused = await (await cli.connect()).request<RefusedBundle[]>('GET', '/api/plugins/refused');
  await cli.show(refused, () => cli.table(refusedColumns, refusedRows(refused), 'No bundle was refused.'));
}

async function rescan(cli: Cli): Promise<void> {
  const found = await (await cli.connect()).request<{ verified: number; refused: RefusedBundle[] }>('POST', '/api/plugins/rescan');
  await cli.show(found, () => {
    const summary = `${found.verified} verified, ${found.refused.length} refused\n`;
    return found.refused.length === 0 ? summary : summary + cli.table(refusedColumns, refusedRows(found.refused), '');
  });
}
