import { parseJson } from '../../../protocol/parse-json.ts';

/** Where the members of a JSON object's text stand, so that one can be changed and the rest stays as its author wrote it. */
type Member = { name: string; start: number; valueStart: number; end: number };

function listMembers(text: string): Member[] {
  const members: Member[] = [];
  let at = text.indexOf('{') + 1;
  for (;;) {
    at = skip(text, at, /[\s,]/);
    if (text[at] !== '"') return members;
    const start = at;
    at = endOfString(text, at);
    const name = parseJson(text.slice(start, at)) as string; // a JSON string
    const valueStart = skip(text, skip(text, at, /\s/) + 1, /\s/);
    at = endOfValue(text, valueStart);
    members.push({ name, start, valueStart, end: at });
  }
}

function skip(text: string, from: number, what: RegExp): number {
  let at = from;
  while (at < text.length && what.test(text[at] ?? '')) at++;
  return at;
}

function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function endOfValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; ) {
    const character = text[at] ?? '';
    if (depth === 0 && /[,}\]\s]/.test(character)) return at;
    if (character === '"') at = endOfString(text, at);
    else {
      depth += /[[{]/.test(character) ? 1 : /[\]}]/.test(character) ? -1 : 0;
      at++;
    }
    if (depth === 0 && /["\]}]/.test(text[at - 1] ?? '')) return at;
  }
  return text.length;
}

/** A value as people write it: short lists on one line. */
export function writeValue(value: unknown, indentation = '  '): string {
  const short = JSON.stringify(value, null, 1)
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\[ | \]/g, (mark) => mark.trim());
  return short.length <= 100 ? short : JSON.stringify(value, null, 2).replaceAll('\n', `\n${indentation}`);
}

/** Sets a member, or takes it out when the value is undefined; a new one goes behind `after`, or to the end. */
export function setMember(text: string, name: string, value: unknown, after: string): string {
  const members = listMembers(text);
  const index = members.findIndex((member) => member.name === name);
  const present = members[index];
  if (value === undefined) {
    if (!present) return text;
    const [before, next] = [members[index - 1], members[index + 1]];
    if (before) return text.slice(0, before.end) + text.slice(present.end);
    return text.slice(0, present.start) + text.slice(next?.start ?? present.end);
  }
  if (present) return text.slice(0, present.valueStart) + writeValue(value) + text.slice(present.end);
  const anchor = members.find((member) => member.name === after) ?? members.at(-1);
  if (!anchor) return text;
  const gap = /\n[ \t]*$/.exec(text.slice(0, anchor.start))?.[0] ?? ' ';
  return `${text.slice(0, anchor.end)},${gap}${JSON.stringify(name)}: ${writeValue(value)}${text.slice(anchor.end)}`;
}
