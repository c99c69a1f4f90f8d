import { styleText } from 'node:util';
import { asHostError, type ErrorCode, errorTable } from '../../protocol/errors.ts';
import type { Clock } from '../clock.ts';
import { type Client, createClient } from './client.ts';
import { findDataDir } from './data-dir.ts';
import { AnsweredError } from './exit-codes.ts';
import { locateService } from './locate.ts';
import { type Column, renderTable } from './table.ts';
import { visible, visibleJson, visibleLines } from './visible.ts';

export type Io = {
  environment: Readonly<Record<string, string | undefined>>;
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  clock: Clock;
  projectRoot: string; // the folder of package.json
  uid: number;
  onInterrupt(): AbortSignal; // from then on SIGINT and SIGTERM abort it instead of ending the process
};

export type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';
export type Cli = ReturnType<typeof createCli>;

/** What every verb works with: the service, and two ways to print, for people and for programs. */
export function createCli(io: Io, json: boolean) {
  let connecting: Promise<Client> | null = null;
  let isLines = false;
  const dataDir = findDataDir(io.environment, io.projectRoot);
  const write = (stream: NodeJS.WriteStream, text: string) => new Promise<void>((resolve) => stream.write(text, () => resolve()));
  const paintFor = (stream: NodeJS.WriteStream) => {
    const coloured = stream.isTTY === true && !io.environment.NO_COLOR && io.environment.TERM !== 'dumb';
    return (colour: Colour, text: string) => (coloured ? styleText(colour, text, { validateStream: false }) : text);
  };
  const paint = paintFor(io.stdout);
  const width = io.stdout.isTTY ? io.stdout.columns || 80 : null;
  const paintNote = paintFor(io.stderr);

  return {
    io,
    json,
    dataDir,
    paint,
    paintNote,
    /** Of the terminal that the result is for; null where it goes elsewhere. */
    width,
    connect(): Promise<Client> {
      connecting ??= locateService({ environment: io.environment, dataDir }).then(createClient);
      return connecting;
    },
    /** Also lets the next one look for the service anew. */
    async close(): Promise<void> {
      const client = connecting?.catch(() => null);
      connecting = null;
      (await client)?.close();
    },
    /** The result of the verb: with --json the value as it is, else its text for people. `render` has made hostile text visible. */
    show: (value: unknown, render: () => string) => write(io.stdout, json ? `${visibleJson(value, 2)}\n` : render()),
    /** One of many results: with --json one line each. */
    showLine(value: unknown, render: () => string) {
      isLines = true;
      return write(io.stdout, `${json ? visibleJson(value) : render()}\n`);
    },
    /** With --json each line is a value of its own from now on, a problem too. */
    beginLines(): void {
      isLines = true;
    },
    /** What is said beside the result. */
    note: (text: string) => write(io.stderr, `${text}\n`),
    table: (columns: Column[], rows: string[][], empty: string) =>
      rows.length === 0 ? `${empty}\n` : renderTable(columns, rows, width, (title) => paint('bold', title)),
    async fail(thrown: unknown, verb: string): Promise<void> {
      if (json) return write(io.stdout, `${visibleJson(describeProblem(thrown), isLines ? undefined : 2)}\n`);
      return write(io.stderr, describeFailure(thrown, verb, paintFor(io.stderr)));
    },
  };
}

/** What a program reads: the problem as the service answered it, or one of the same shape for a fault on this side. */
function describeProblem(thrown: unknown): Record<string, unknown> {
  if (thrown instanceof AnsweredError) return thrown.problem;
  const error = asHostError(thrown);
  return {
    ...error.details,
    type: `/problems/${error.code}`,
    title: errorTable[error.code].title,
    detail: messageOf(thrown),
    code: error.code,
  };
}

/** This is the operator's own terminal: an unforeseen fault may say what it is. */
const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** One line; only the compiler of the author's own sources may say more, set off from what the command says. */
const describeMessage = (thrown: unknown, problem: Record<string, unknown>): string =>
  problem.rule === 'does-not-build' && !(thrown instanceof AnsweredError)
    ? visibleLines(messageOf(thrown).trimEnd()).replaceAll('\n', '\n    ')
    : visible(messageOf(thrown));

/** What failed, why, and what would help. */
function describeFailure(thrown: unknown, verb: string, paint: (colour: Colour, text: string) => string): string {
  const { code, details } = asHostError(thrown);
  const problem: Record<string, unknown> = thrown instanceof AnsweredError ? thrown.problem : details;
  const text = (name: string) => (typeof problem[name] === 'string' ? visible(problem[name]) : null);
  const lines = [`${paint('red', `${verb} failed:`)} ${describeMessage(thrown, problem)}`, `  why:  ${titleOf(code)} (${code})`];
  if (text('line') && text('pointer')) lines.push(`  at:   ${text('pointer')}: ${text('line')}`);
  if (text('hint')) lines.push(`  hint: ${text('hint')}`);
  else if (code === 'internal' && text('request_id'))
    lines.push(`  hint: the log of the service tells more about request ${text('request_id')}`);
  return `${lines.join('\n')}\n`;
}

const titleOf = (code: ErrorCode): string => errorTable[code].title;
