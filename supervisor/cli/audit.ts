import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { AuditRow } from '../audit.ts';
import type { Head, Verdict } from '../audit-chain.ts';
import { auditTerms } from '../audit-terms.ts';
import type { Clock } from '../clock.ts';
import type { Cli } from './cli.ts';
import { readMoment, spanForms, wholeNumber } from './options.ts';
import { visibleJson } from './visible.ts';

type Filter = Partial<
  Record<'plugin' | 'kind' | 'verdict' | 'method' | 'actor' | 'code' | 'rule' | 'request_id' | 'since' | 'until' | 'order' | 'q', string>
> & {
  limit?: number;
  after?: number;
};

export function addAuditVerbs(program: Command, cli: Cli): void {
  const audit = program.command('audit').description('read and verify the audit; without a verb: list');
  const list = audit
    .command('list', { isDefault: true })
    .description('list rows, the newest first')
    .argument('[terms...]', `what to list, as key:value: ${auditTerms.join(', ')}`)
    .option('--plugin <id>', 'of this plugin')
    .option('--kind <kind>', 'of this kind, like host.decision or plugin.status')
    .option('--verdict <verdict>', 'allow or deny')
    .option('--method <method>', 'of this method, like kv.put')
    .option('--actor <token id>', 'caused by this token')
    .option('--code <word>', 'with this error word')
    .option('--rule <rule>', 'refused by this rule')
    .option('--request <id>', 'of this request')
    .option('--since <time>', `not before, like 2026-01-31T12:00:00Z, or so long ago: ${spanForms}`)
    .option('--until <time>', 'before; written like --since')
    .option('--limit <number>', 'at most so many, from 1 to 1000', wholeNumber)
    .option('--after <seq>', 'read on after this row', wholeNumber)
    .option('--oldest-first', 'the oldest first')
    .action((terms: readonly string[], { oldestFirst, request, ...filter }: Filter & { oldestFirst?: boolean; request?: string }) =>
      listRows(cli, {
        ...readTimes(cli.io.clock, filter),
        ...(request === undefined ? {} : { request_id: request }),
        ...(terms.length > 0 ? { q: terms.map((term) => readTimeOfTerm(cli.io.clock, term)).join(' ') } : {}),
        ...(oldestFirst ? { order: 'oldest' } : {}),
      }),
    );
  audit.addHelpText('after', () => helpOfList(list));
  audit
    .command('verify')
    .description('check that no row was changed, left out or cut off')
    .option('--offline', 'check the files of a stopped service')
    .option(
      '--against <file>',
      'and against a head kept elsewhere: a file with what `lattice audit head` printed, or what a webhook was sent',
    )
    .action(({ offline, against }: { offline?: boolean; against?: string }) => verify(cli, offline === true, against));
  audit
    .command('head')
    .description('print the seq and hash of the last row')
    .action(() => showHead(cli));
  audit
    .command('export')
    .description('print every row as a line of JSON, the oldest first')
    .action(() => exportRows(cli));
}

/** What is after the usage, and before what every verb has. */
const helpOfList = (list: Command): string =>
  list
    .helpInformation()
    .replace(/^Usage:.*$/m, '\nFor lattice audit, as for lattice audit list:')
    .replace(/\n +-h, --help[\s\S]*$/, '');

const timeTerms = ['since', 'until'] as const;

function readTimes(clock: Clock, filter: Filter): Filter {
  const times = timeTerms.flatMap((name) => {
    const text = filter[name];
    return text === undefined ? [] : [[name, readMoment(text, clock, 'ago', `--${name}`)]];
  });
  return { ...filter, ...Object.fromEntries(times) };
}

function readTimeOfTerm(clock: Clock, term: string): string {
  const name = timeTerms.find((each) => term.startsWith(`${each}:`));
  return name === undefined ? term : `${name}:${readMoment(term.slice(name.length + 1), clock, 'ago', name)}`;
}

/** A page at a time, so that it needs no more memory for a million rows than for a thousand. */
async function exportRows(cli: Cli): Promise<void> {
  const client = await cli.connect();
  for (let after: number | null = 0; after !== null; ) {
    const query = { order: 'oldest', limit: 1000, after };
    const page: { rows: AuditRow[]; next: number | null } = await client.request('GET', '/api/audit', { query });
    const text = page.rows.map((row) => `${visibleJson(row)}\n`).join('');
    await new Promise<void>((resolve) => cli.io.stdout.write(text, () => resolve()));
    after = page.next;
  }
}

const columns = (cli: Cli) => [
  { title: 'SEQ', keep: true },
  { title: 'TIME', keep: true, narrow: (time: string) => time.replace(/^(.{10})T(.{8}).*$/, '$1 $2') },
  { title: 'KIND' },
  { title: 'PLUGIN', keep: true, narrow: 'wrap' as const },
  { title: 'METHOD' },
  { title: 'VERDICT', paint: (text: string) => (text === 'deny' ? cli.paint('red', text) : text) },
  { title: 'CODE', narrow: 'drop' as const },
  { title: 'ACTOR', keep: true, narrow: 'drop' as const },
  { title: 'SUMMARY', narrow: 'drop' as const },
];
const cells = (row: AuditRow) =>
  [String(row.seq), row.time, row.kind, row.plugin, row.method, row.verdict, row.code, row.actor, row.summary].map((cell) => cell ?? '-');

async function listRows(cli: Cli, query: Filter): Promise<void> {
  const page = await (await cli.connect()).request<{ rows: AuditRow[]; next: number | null }>('GET', '/api/audit', { query });
  await cli.show(page, () => cli.table(columns(cli), page.rows.map(cells), 'There are no such rows.'));
  if (!cli.json && page.next !== null) await cli.note(`there may be more: --after ${page.next}`);
}

async function verify(cli: Cli, offline: boolean, file: string | undefined): Promise<void> {
  const against = file === undefined ? null : await readKeptHead(file);
  const verdict = offline
    ? await (await import('./offline.ts')).verifyOffline(cli, against) // loads the database, which the other verbs can do without
    : await (await cli.connect()).request<Verdict>('GET', '/api/audit/verify', { query: { ...against } });
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

/** The line that `audit head` printed, with --json the object, or what the webhook was sent. */
async function readKeptHead(file: string): Promise<Head> {
  const bytes = await readFile(resolve(file), 'utf8').catch((error: unknown) => {
    throw new HostError(
      'invalid-params',
      `${file} cannot be read`,
      { hint: 'name a file with what `lattice audit head` printed' },
      { cause: error },
    );
  });
  const text = bytes.trim();
  const match =
    /^(?<seq>[0-9]{1,15}) (?<hash>[0-9a-f]{64})$/.exec(text) ??
    /^\{\s*"seq":\s*(?<seq>[0-9]{1,15}),\s*"(?:hash|head)":\s*"(?<hash>[0-9a-f]{64})"\s*(?:,\s*"at":\s*"[^"]*"\s*)?\}$/.exec(text);
  const { seq, hash } = match?.groups ?? {};
  if (seq !== undefined && hash !== undefined) return { seq: Number(seq), hash };
  throw new HostError('invalid-params', `${file} does not hold a head of the audit`, { hint: 'lattice audit head > <file> writes one' });
}
