import type { Origin } from './address.ts';

const titleChars = 200; // the host's caps
const textChars = 8192;
const nameChars = 64;

/** Makes text harmless to show: what controls a terminal, turns the writing direction or cannot be seen is written out; then it is cut. */
export function sanitise(text: string, most: number): string {
  const shown = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|\p{M}{3,}/gu, (found) =>
    [...found].map((character) => `\\u{${character.codePointAt(0)?.toString(16)}}`).join(''),
  );
  // A character that takes two units is not cut in half.
  return shown.length <= most ? shown : `${shown.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

const showName = (name: string): string => sanitise(name === '' ? '(empty)' : name, nameChars);
function place(source: string, shown: string): string {
  if (source === 'uncertain') return 'an address that cannot be told';
  return source === 'unknown' ? 'an address that sshd did not know' : sanitise(shown, nameChars);
}

type Draft = { title: string; text: string };
const finish = (title: string, lines: readonly (string | null)[], ref: string): Draft => ({
  title: sanitise(title, titleChars),
  text: [...lines.filter((line) => line !== null), `Reference ${ref}. A message with the same reference is the same event, sent again.`]
    .map((line) => sanitise(line, 1024))
    .join('\n')
    .slice(0, textChars),
});

type Login = { user: string; method: string; key: string | null; origin: Origin; time: string };

export function writeLoginAlert({ user, method, key, origin, time }: Login, isFirst: boolean, ref: string): Draft {
  const name = showName(user);
  const from = place(origin.source, origin.address);
  const port = origin.port === null ? '' : ` port ${origin.port}`;
  return finish(
    `SSH login: ${name} from ${from} (new source)`,
    [
      `User ${name} logged in with ${method}${key === null ? '' : ` (${key})`} from ${from}${port} at ${time}.`,
      isFirst
        ? 'This is the first login of this user on record.'
        : `This user has not logged in from ${origin.source} before, as far as is on record.`,
    ],
    ref,
  );
}

/** A name that does not exist on the server is not shown unless the operator asked for it: whoever tried it chose it. */
export function writeBurstAlert(
  subject: { source: string } | { user: string },
  count: number,
  minutes: number,
  time: string,
  ref: string,
): Draft {
  const whom = 'user' in subject ? `for user ${showName(subject.user)}` : `from ${place(subject.source, subject.source)}`;
  return finish(
    `SSH failures: ${count} ${whom} within ${minutes} min`,
    [
      `${count} failed SSH logins ${whom} within ${minutes} minutes; the last at ${time}.`,
      'No further message comes for this burst until it has ebbed away.',
    ],
    ref,
  );
}

export const writeHeldBackAlert = (perHour: number, ref: string): Draft =>
  finish(
    'SSH failures: further alerts are held back',
    [
      `More than ${perHour} bursts of failed SSH logins were reported within an hour; the rest of that hour is only counted.`,
      'Logins from new sources are still reported.',
    ],
    ref,
  );
