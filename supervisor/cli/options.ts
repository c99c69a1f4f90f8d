import { InvalidArgumentError } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import { parseStrictText } from '../../protocol/strict-json.ts';
import type { Clock } from '../clock.ts';
import { explainLine } from '../explain-json.ts';
import type { Cli } from './cli.ts';

export function wholeNumber(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

export const collect = (text: string, sofar: string[] = []): string[] => [...sofar, ...text.split(',').map((part) => part.trim())];

const mostInput = 1024 * 1024;

/** The text itself, or what stdin holds where the text is `-`. */
export async function readArgument(cli: Cli, text: string): Promise<string> {
  if (text !== '-') return text;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of cli.io.stdin) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > mostInput) throw new HostError('payload-too-large', `at most ${mostInput} bytes are read from stdin`);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export async function readJsonArgument(cli: Cli, text: string, what: string): Promise<unknown> {
  const given = await readArgument(cli, text);
  const parsed = parseStrictText(given);
  if (parsed.ok) return parsed.value;
  throw new HostError('invalid-params', `${what} ${explainLine(given, parsed)}`, {
    hint: `write it like '{"name": "Ada"}', or - to read it from stdin`,
  });
}

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
export const spanForms = '90s, 30m, 12h or 7d';

/** A time, or a span of time from now: backwards for what was, forwards for what is to be. */
export function readMoment(text: string, clock: Clock, direction: 'ago' | 'ahead', what: string): string {
  const [, count, unit] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (unit === 's' || unit === 'm' || unit === 'h' || unit === 'd')
    return new Date(clock.wallMs() + (direction === 'ago' ? -1 : 1) * Number(count) * unitMs[unit]).toISOString();
  if (!Number.isNaN(Date.parse(text))) return new Date(text).toISOString();
  throw new HostError('invalid-params', `${what} is not a time`, {
    hint: `write it like 2027-01-31T12:00:00Z, or ${spanForms} ${direction === 'ago' ? 'for so long ago' : 'for so long from now'}`,
  });
}
