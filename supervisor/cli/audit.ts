import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { AuditRow } from '../audit.ts';
import type { Head, Verdict } from '../audit-chain.ts';
import type { Cli } from './cli.ts';
import { wholeNumber } from './options.ts';

type Filter = Partial<Record<'plugin' | 'kind' | 'verdict' | 'method' | 'actor' | 'code' | 'since' | 'until' | 'order', string>> & {
  limit?: number;
  after?: number;
};

export function addAuditVerbs(program: Command, cli: Cli): void {
  const audit = program.command('audit').description('read and verify the audit');
  audit
    .command('list', { isDefault: true })
    .description('list rows, the newest first')
    .option('--plugin <id>', 'of this plugin')
    .option('--kind <kind>', 'of this kind, like host.decision or plugin.status')
    .option('--verdict <verdict>', 'allow or deny')
    .option('--method <method>', 'of this method, like kv.put')
    .option('--actor <token id>', 'caused by this token')
    .option('--code <word>', 'with this error word')
    .option('--since <time>', 'not before, like 2026-01-31T12:00:00Z')
    .option('--until <time>', 'before')
    .option('--limit <number>', 'at most so many, from 1 to 1000', wholeNumber)
    .option('--after <seq>', 'read on after this row', wholeNumber)
    .option('--oldest-first', 'the oldest first')
    .action(({ oldestFirst, ...filter }: Filter & { oldestFirst?: boolean }) =>
      listRows(cli, oldestFirst ? { ...filter, order: 'oldest' } : filter),
    );
  audit
    .command('verify')
    .description('check that no row was changed, left out or cut off')
    .option('--offline', 'check the files of a stopped service')
    .action(({ offline }: { offline?: boolean }) => verify(cli, offline === true));
  audit
    .command('head')
    .description('print the seq and hash of the last row')
    .action(() => showHead(cli));
}

const columns = (cli: Cli) => [
  { title: 'SEQ', keep: true },
  { title: 'TIME', keep: true },
  { title: 'KIND' },
  { title: 'PLUGIN', keep: true },
  { title: 'METHOD' },
  { title: 'VERDICT', paint: (text: string) => (text === 'deny' ? cli.paint('red', text) : text) },
  { title: 'CODE' },
  { title: 'ACTOR', keep: true },
  { title: 'SUMMARY' },
];
const cells = (row: AuditRow) =>
  [String(row.seq), row.time, row.kind, row.plugin, row.method, row.verdict, row.code, row.actor, row.summary].map((cell) => cell ?? '-');

async function listRows(cli: Cli, query: Filter): Promise<void> {
  const page = await (await cli.connect()).request<{ rows: AuditRow[]; next: number | null }>('GET', '/api/audit', { query });
  await cli.show(page, () => cli.table(columns(cli), page.rows.map(cells), 'There are no such rows.'));
  if (!cli.json && page.next !== null) await cli.note(`there may be more: --after ${page.next}`);
}

async function verify(cli: Cli, offline: boolean): Promise<void> {
  const verdict = offline
    ? await (await import('./offline.ts')).verifyOffline(cli) // loads the database, which the other verbs can do without
    : await (await cli.connect()).request<Verdict>('GET', '/api/audit/verify');
  if (!verdict.ok) {
    throw new HostError('verification-failed', `the audit is broken at row ${verdict.seq}: ${verdict.reason}`, {
      ...verdict,
      hint: 'keep copies of lattice.db and audit.head, and find out who could write to them',
    });
  }
  await cli.show(verdict, () => `the audit is complete up to row ${verdict.head.seq} (${verdict.head.hash})\n`);
}

async function showHead(cli: Cli): Promise<void> {
  const head = await (await cli.connect()).request<Head>('GET', '/api/audit/head');
  await cli.show(head, () => `${head.seq} ${head.hash}\n`);
}
