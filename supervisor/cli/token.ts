import type { Command } from 'commander';
import type { describeToken } from '../http/token-routes.ts';
import type { Cli } from './cli.ts';
import { apiPath } from './client.ts';
import { collect, readMoment, spanForms } from './options.ts';

type CreateOptions = { name: string; scope: string[]; plugin?: string; expires?: string };

export function addTokenVerbs(program: Command, cli: Cli): void {
  const token = program.command('token').description('make and revoke API tokens');
  token
    .command('create')
    .description('make a token and print it, once')
    .requiredOption('--name <name>', 'what it is for')
    .requiredOption('--scope <scope>', 'what it may do; may be given several times', collect)
    .option('--plugin <id>', 'only for calls, logs and reasons of this plugin')
    .option('--expires <when>', `until then, like 2027-01-31T12:00:00Z, or after so long: ${spanForms}`)
    .action((options: CreateOptions) => createToken(cli, options));
  token
    .command('list')
    .description('list the tokens, without their text')
    .action(() => listTokens(cli));
  token
    .command('revoke <id>')
    .description('revoke a token at once')
    .action((id: string) => revokeToken(cli, id));
  token
    .command('reset')
    .description('with the service stopped: revoke the admin token and write a new one to admin.token in the data directory')
    .action(() => resetToken(cli));
}

async function createToken(cli: Cli, { name, scope, plugin, expires }: CreateOptions): Promise<void> {
  const body = {
    name,
    scopes: scope,
    plugin,
    expires_at: expires === undefined ? undefined : readMoment(expires, cli.io.clock, 'ahead', '--expires'),
  };
  const made = await (await cli.connect()).request<{ id: string; token: string }>('POST', '/api/tokens', { body });
  await cli.show(made, () => `${made.token}\n`);
  if (!cli.json) await cli.note(`this is token ${made.id}; its text is not shown again`);
}

async function listTokens(cli: Cli): Promise<void> {
  const found = await (await cli.connect()).request<{ tokens: ReturnType<typeof describeToken>[] }>('GET', '/api/tokens');
  const columns = [
    { title: 'ID', keep: true },
    { title: 'NAME' },
    { title: 'SCOPES' },
    { title: 'PLUGIN' },
    { title: 'CREATED', keep: true, narrow: 'drop' as const },
    { title: 'STATE' },
  ];
  const now = new Date(cli.io.clock.wallMs()).toISOString();
  const stateOf = (token: ReturnType<typeof describeToken>) => {
    if (token.revoked_at) return 'revoked';
    if (token.expires_at === null) return 'in force';
    return token.expires_at <= now ? 'expired' : `until ${token.expires_at}`;
  };
  const rows = found.tokens.map((token) => [
    token.id,
    token.name,
    token.scopes.join(' '),
    token.plugin ?? '-',
    token.created_at,
    stateOf(token),
  ]);
  await cli.show(found, () => cli.table(columns, rows, 'There are no tokens.'));
}

async function revokeToken(cli: Cli, id: string): Promise<void> {
  const done = await (await cli.connect()).request('DELETE', apiPath('tokens', id));
  await cli.show(done, () => `${id} is revoked\n`);
}

async function resetToken(cli: Cli): Promise<void> {
  const { resetAdminToken } = await import('./offline.ts'); // loads the database, which the other verbs can do without
  const { file } = await resetAdminToken(cli);
  await cli.show({ file }, () => `the new admin token is in ${file}; the one before is revoked\n`);
}
