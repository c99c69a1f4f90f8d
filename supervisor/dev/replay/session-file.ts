import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { HostError } from '../../../protocol/errors.ts';
import { parseJson } from '../../../protocol/parse-json.ts';

export const sessionSchema = 'lattice.dev.session.v1';

const header = z.object({
  schema: z.literal(sessionSchema),
  plugin: z.object({ id: z.string(), version: z.string(), artifact_sha256: z.string() }),
});
const row = z.object({ at: z.number(), dir: z.enum(['in', 'out']), msg: z.unknown() });

export type SessionHeader = z.output<typeof header>;
/** One message of a record and its line in the file. `in`: from the plugin. */
export type SessionRow = { line: number; at: number; dir: 'in' | 'out'; msg: unknown };
export type Session = { header: SessionHeader; rows: SessionRow[] };

const refuse = (name: string, line: number, message: string): never => {
  throw new HostError('invalid-params', `${name}:${line}: ${message}`, {
    rule: 'session',
    hint: 'record it again: lattice dev --record session.ndjson',
  });
};

/** Reads a record of `lattice dev --record`. The last line may be a half one: the recorder was killed. */
export function readSession(file: string): Session {
  const name = basename(file);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    throw new HostError('invalid-params', `${name}: the record cannot be read (${code})`, {
      rule: 'session',
      hint: 'name a file of lattice dev --record',
    });
  }
  const lines = text.split('\n');
  const half = lines.pop(); // behind the last line feed there is nothing
  if (lines.length === 0) lines.push(half ?? '');
  const values = lines.map((line, index) => parseLine(name, line, index + 1));
  const first = header.safeParse(values[0]);
  if (!first.success) return refuse(name, 1, `this is no record of the form ${sessionSchema}`);
  const rows = values.slice(1).map((value, index) => {
    const parsed = row.safeParse(value);
    return parsed.success ? { line: index + 2, ...parsed.data } : refuse(name, index + 2, 'this is not a recorded message');
  });
  return { header: first.data, rows };
}

function parseLine(name: string, line: string, number: number): unknown {
  try {
    return parseJson(line) as unknown;
  } catch {
    return refuse(name, number, 'this line is not JSON');
  }
}
