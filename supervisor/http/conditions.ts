import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { HostError } from '../../protocol/errors.ts';
import { HttpRefusal } from './problem.ts';

type Tags = '*' | readonly string[];
/** What a request says about what its caller saw (RFC 9110, 13.1); null: nothing. */
export type Conditions = { match: Tags | null; noneMatch: Tags | null };

const mostCharacters = 4096;
const mostTags = 64;
/** One element of the list, which may be empty, with what ends it. Nothing in it can be read in two ways, so it takes linear time. */
const element = /[ \t]*((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")?[ \t]*(,|$)/y;

/** The tag of what is shown, by its text: another text has another tag. */
export const contentTag = (shown: unknown): string => tagOfText(JSON.stringify(shown ?? null));
export const tagOfText = (text: string): string => `"${hash('sha256', text, 'base64url').slice(0, 27)}"`; // 162 bits
/** The tag of what has a number that is never used twice. */
export const revisionTag = (revision: number): string => `"${revision}"`;

export function readConditions(headers: IncomingHttpHeaders): Conditions | null {
  const match = readTags('If-Match', headers['if-match']);
  const noneMatch = readTags('If-None-Match', headers['if-none-match']);
  return match === null && noneMatch === null ? null : { match, noneMatch };
}

function readTags(name: string, text: string | undefined): Tags | null {
  if (text === undefined) return null;
  if (text.trim() === '*') return '*';
  if (text.length > mostCharacters) throw malformed(name, `is longer than ${mostCharacters} characters`);
  const tags: string[] = [];
  element.lastIndex = 0;
  for (let found = element.exec(text); found; found = element.exec(text)) {
    if (found[1] !== undefined) tags.push(found[1]);
    if (found[2] !== '') continue; // a comma: there is more
    if (tags.length === 0) throw malformed(name, 'names no tag');
    if (tags.length > mostTags) throw malformed(name, `names more than ${mostTags} tags`);
    return tags;
  }
  throw malformed(name, 'is neither * nor a list of tags in quotation marks');
}

const malformed = (name: string, what: string): HostError =>
  new HostError('invalid-params', `the header ${name} ${what}`, {
    rule: 'malformed-condition',
    header: name,
    hint: `send what an ETag header said, with its quotation marks: ${name}: "<tag>"`,
  });

/** A condition that nothing is compared with would be one that its sender only believes in. */
export const conditionRefused = (): HostError =>
  new HostError('invalid-params', 'this request takes no If-Match and no If-None-Match', {
    rule: 'condition-not-here',
    hint: 'leave the header out: there is nothing that this request could be compared with',
  });

/** Throws unless the conditions hold for what is there. `tags`: its tags, the first to be told; none when nothing is there. */
export function requireHeld({ match, noneMatch }: Conditions, tags: readonly string[]): void {
  if (match !== null && !(match === '*' ? tags.length > 0 : match.some((tag) => tags.includes(tag)))) {
    const what = tags.length === 0 ? 'there is nothing that it could have' : 'it was changed since that answer';
    throw failed('if-match', tags, `If-Match does not hold: ${what}`, 'read it again, decide again, and send the ETag of that answer');
  }
  if (noneMatch !== null && isAmong(noneMatch, tags)) {
    const hint = 'leave the header out to change what is there, or send If-Match with its ETag';
    throw failed('if-none-match', tags, 'If-None-Match does not hold: it is there', hint);
  }
}

/** Whether a reader has it already. For this a weak tag counts like a strong one. */
export const isAmong = (given: Tags, tags: readonly string[]): boolean =>
  given === '*' ? tags.length > 0 : given.some((tag) => tags.includes(tag.replace(/^W\//, '')));

function failed(rule: string, tags: readonly string[], message: string, hint: string): HttpRefusal {
  return new HttpRefusal('changed-since-shown', message, { status: 412, details: { rule, etag: tags[0] ?? null, hint } });
}
