import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';
import type { LogLine } from '../plugin-view.ts';
import type { Cli } from './cli.ts';
import { apiPath } from './client.ts';
import { wholeNumber } from './options.ts';
import { visible } from './visible.ts';

type Options = { follow?: boolean; run?: number; prev?: boolean; last?: number };
type Page = { run: number | null; runs: number[]; lines: LogLine[]; dropped_bytes: number };

export function addLogVerbs(plugins: Command, cli: Cli): void {
  plugins
    .command('logs <id>')
    .description('read the log of a plugin')
    .option('-f, --follow', 'go on with each new line')
    .option('--run <number>', 'of this run instead of the newest', wholeNumber)
    .option('--prev', 'of the run before the newest')
    .option('--last <lines>', 'at most so many lines', wholeNumber)
    .action((id: string, options: Options) => (options.follow ? followLog(cli, id, options) : readLog(cli, id, options)));
}

function formatLine(cli: Cli, line: LogLine): string {
  const level =
    line.level === 'error' ? cli.paint('red', line.level) : line.level === 'warn' ? cli.paint('yellow', line.level) : visible(line.level);
  return `${cli.paint('dim', visible(line.time))} ${level} ${visible(line.source)}: ${visible(line.text)}`;
}

async function readLog(cli: Cli, id: string, { run, prev, last }: Options): Promise<void> {
  if (run !== undefined && prev)
    throw new HostError('invalid-params', '--run and --prev name different runs', { hint: 'leave one of them out' });
  const client = await cli.connect();
  const read = (query: { run: number | undefined; last: number | undefined }) =>
    client.request<Page>('GET', apiPath('plugins', id, 'logs'), { query });
  const page = await read({ run: prev ? previousRun(id, await read({ run: undefined, last: 1 })) : run, last });
  await cli.show(page, () => page.lines.map((line) => `${formatLine(cli, line)}\n`).join(''));
  if (!cli.json && page.dropped_bytes > 0)
    await cli.note(`${page.dropped_bytes} bytes of this run were not kept: the plugin wrote faster than the log takes`);
}

function previousRun(id: string, { runs }: Page): number {
  const run = runs.at(-2);
  if (run === undefined) throw new HostError('not-found', `${id} has no run before the newest`, { hint: 'leave out --prev' });
  return run;
}

async function followLog(cli: Cli, id: string, { run, prev, last }: Options): Promise<void> {
  if (run !== undefined || prev)
    throw new HostError('invalid-params', 'one run cannot be followed', { hint: 'leave out --run or --follow' });
  const events = (await cli.connect()).events(apiPath('plugins', id, 'logs'), { query: { follow: 1, last } });
  for await (const { event, data } of events) {
    const value: unknown = parseJson(data);
    if (event === 'line') await cli.showLine(value, () => formatLine(cli, value as LogLine)); // what the event `line` carries
    if (event === 'dropped') await cli.note('some lines were left out: this terminal is slower than the plugin');
    if (event === 'end') throw new HostError('unavailable', 'the service has stopped', { hint: 'follow again once it runs' });
  }
  throw new HostError('unavailable', 'the service has ended the stream', { hint: 'see whether it still runs' });
}
