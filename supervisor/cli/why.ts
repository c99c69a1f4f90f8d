import type { ExitView, WhyView } from '../plugin-view.ts';
import type { Cli } from './cli.ts';
import { apiPath } from './client.ts';
import { paintState } from './plugins.ts';
import { wrapText } from './table.ts';
import { visible } from './visible.ts';

export async function showWhy(cli: Cli, id: string): Promise<void> {
  const why = await (await cli.connect()).request<WhyView>('GET', apiPath('plugins', id, 'why'));
  await cli.show(why, () => `${describeWhy(cli, why).join('\n')}\n`);
}

function describeWhy(cli: Cli, why: WhyView): string[] {
  const lines = [`${cli.paint('bold', why.id)} is to be ${why.status} and is ${paintState(cli, why.state)}`];
  if (why.message) lines.push(...wrapLines(cli, '  ', visible(why.message)));
  if (why.uptime_ms !== null) lines.push(`  up for ${tellSpan(why.uptime_ms)}`);
  if (why.owed) lines.push(`  ${cli.paint('yellow', 'busy:')} ${describeOwed(why.owed)}`);
  if (why.next_retry_at) lines.push(`  next try at ${visible(why.next_retry_at)}`);
  if (why.last_host_call) lines.push(`  last host call: ${visible(why.last_host_call)}`);
  lines.push(...why.exits.flatMap(describeExit));
  const counted = Object.entries(why.counters).filter(([, count]) => count !== 0);
  if (counted.length > 0)
    lines.push(
      ...wrapLines(cli, '  counted: ', counted.map(([name, count]) => `${visible(name).replaceAll('_', ' ')} ${count}`).join(', ')),
    );
  return lines;
}

const tellSpan = (ms: number): string => {
  const seconds = Math.round(ms / 1000);
  if (seconds < 600) return `${seconds} s`;
  return seconds < 36_000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
};

function describeOwed({ calls_open, calls_given_up, last_answer_ms }: NonNullable<WhyView['owed']>): string {
  const calls = (count: number) => `${count} ${count === 1 ? 'call' : 'calls'}`;
  const owed = [
    ...(calls_open > 0 ? [`${calls(calls_open)} unanswered`] : []),
    ...(calls_given_up > 0 ? [`${calls(calls_given_up)} given up after the deadline`] : []),
  ];
  return `${owed.join(', ')}; its last answer to anything was ${tellSpan(last_answer_ms)} ago`;
}

function describeExit({ generation, version, ended_at, cause, code, signal, detail, stderr_tail }: ExitView): string[] {
  const how = signal ?? (code === null ? '' : `exit code ${code}`);
  const of = version === null ? '' : ` of ${visible(version)}`;
  return [
    `  run ${generation}${of} ended at ${visible(ended_at)}: ${visible(cause)} ${visible(how)}`.trimEnd(),
    ...(detail ? [`    ${visible(detail)}`] : []),
    ...stderr_tail.map((line) => `    | ${visible(line)}`),
  ];
}

/** On a terminal no line is longer than it is wide. */
function wrapLines(cli: Cli, title: string, text: string): string[] {
  const lines = cli.width === null ? [text] : wrapText(text, Math.max(20, cli.width - title.length));
  return lines.map((line, at) => `${at === 0 ? title : ' '.repeat(title.length)}${line}`);
}
