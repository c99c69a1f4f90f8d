export type Payload = { source: string; lines: string[]; cursor: string };

const most = { lines: 2000, lineChars: 65_536, nameChars: 200 } as const;
const isName = (value: unknown): value is string => typeof value === 'string' && value.length >= 1 && value.length <= most.nameChars;
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** `source` names the log, `cursor` the end of this batch within it: the same two again are the same batch again. */
export function readPayload(payload: unknown): Payload {
  if (!isObject(payload)) throw refuse('the payload is an object with source, lines and cursor');
  const { source, lines, cursor } = payload;
  if (!isName(source)) throw refuse(`"source" must be a text of 1 to ${most.nameChars} characters`);
  if (!isName(cursor)) throw refuse(`"cursor" must be a text of 1 to ${most.nameChars} characters`);
  if (
    !Array.isArray(lines) ||
    lines.length > most.lines ||
    !lines.every((line) => typeof line === 'string' && line.length <= most.lineChars)
  ) {
    throw refuse(`"lines" must be a list of at most ${most.lines} texts of at most ${most.lineChars} characters`);
  }
  return { source, lines, cursor };
}

/** How many users `status` is to list. */
export function readStatusLimit(payload: unknown): number {
  const limit = isObject(payload) ? (payload.users ?? 50) : 50;
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 0 || limit > 200)
    throw refuse('"users" must be a whole number from 0 to 200');
  return limit;
}

const refuse = (message: string) => Object.assign(new Error(message), { code: 'invalid-params' });
