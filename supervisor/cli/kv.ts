import type { Command } from 'commander';
import type { Cli } from './cli.ts';
import { apiPath } from './client.ts';
import { readArgument, wholeNumber } from './options.ts';
import { visible, visibleLines } from './visible.ts';

type Listing = { entries: { key: string; revision: number; bytes: number }[]; next: string | null };
type ListOptions = { prefix?: string; after?: string; limit?: number };

export function addKvVerbs(program: Command, cli: Cli): void {
  const kv = program.command('kv').description('see and change stored entries; the bucket of a plugin is plugin:<id>');
  const revision = ['--if-revision <number>', 'only if the entry still has this revision; 0: if there is none', wholeNumber] as const;
  kv.command('buckets')
    .description('list the buckets')
    .action(() => listBuckets(cli));
  kv.command('list <bucket>')
    .description('list the keys of a bucket')
    .option('--prefix <text>', 'only keys that begin so')
    .option('--after <key>', 'read on after this key')
    .option('--limit <number>', 'at most so many', wholeNumber)
    .action((bucket: string, options: ListOptions) => listKeys(cli, bucket, options));
  kv.command('get <bucket> <key>')
    .description('print one value')
    .action((bucket: string, key: string) => getEntry(cli, bucket, key));
  kv.command('put <bucket> <key> <value>')
    .description('store one value, or - to read it from stdin')
    .option(...revision)
    .action((bucket: string, key: string, value: string, options: { ifRevision?: number }) =>
      putEntry(cli, [bucket, key], value, options.ifRevision),
    );
  kv.command('delete <bucket> <key>')
    .description('delete one entry')
    .option(...revision)
    .action((bucket: string, key: string, options: { ifRevision?: number }) => deleteEntry(cli, [bucket, key], options.ifRevision));
}

async function listBuckets(cli: Cli): Promise<void> {
  const found = await (await cli.connect()).request<{ buckets: { bucket: string; keys: number; bytes: number }[] }>('GET', '/api/kv');
  const rows = found.buckets.map((each) => [each.bucket, String(each.keys), String(each.bytes)]);
  await cli.show(found, () =>
    cli.table([{ title: 'BUCKET', keep: true }, { title: 'KEYS' }, { title: 'BYTES' }], rows, 'There are no entries.'),
  );
}

async function listKeys(cli: Cli, bucket: string, query: ListOptions): Promise<void> {
  const page = await (await cli.connect()).request<Listing>('GET', apiPath('kv', bucket), { query });
  const rows = page.entries.map((each) => [each.key, String(each.revision), String(each.bytes)]);
  await cli.show(page, () =>
    cli.table([{ title: 'KEY', keep: true }, { title: 'REVISION' }, { title: 'BYTES' }], rows, 'There are no entries.'),
  );
  if (!cli.json && page.next !== null) await cli.note(`there are more: --after ${visible(page.next)}`);
}

/** To a terminal the value is made visible; to a pipe or file it goes as it is. */
async function getEntry(cli: Cli, bucket: string, key: string): Promise<void> {
  const entry = await (await cli.connect()).request<{ value: string; revision: number }>('GET', apiPath('kv', bucket, key));
  await cli.show(entry, () => (cli.io.stdout.isTTY ? `${visibleLines(entry.value)}\n` : entry.value));
}

async function putEntry(cli: Cli, entry: [string, string], text: string, if_revision: number | undefined): Promise<void> {
  const body = { value: await readArgument(cli, text), if_revision };
  const stored = await (await cli.connect()).request<{ revision: number }>('PUT', apiPath('kv', ...entry), { body });
  await cli.show(stored, () => `stored as revision ${stored.revision}\n`);
}

async function deleteEntry(cli: Cli, entry: [string, string], if_revision: number | undefined): Promise<void> {
  const done = await (await cli.connect()).request<{ deleted: boolean }>('DELETE', apiPath('kv', ...entry), { query: { if_revision } });
  await cli.show(done, () => (done.deleted ? 'deleted\n' : 'there was no such entry\n'));
}
