/** `length`: where the host begins. `timeMs` is null when the form has no date; of a form without a year or a zone only differences mean something. */
export type Stamp = { timeMs: number | null; text: string; length: number };

type Parts = Record<string, string | undefined>;
const day = '(?<month>\\d\\d)-(?<day>\\d\\d)';
const time = '(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)(?:[.,](?<fraction>\\d{1,9}))?';
const forms: readonly RegExp[] = [
  new RegExp(`^(?<name>[A-Z][a-z]{2}) (?<day>[ \\d]\\d) ${time}(?: (?<year>\\d{4}))? `), // syslog, journalctl -o short
  new RegExp(`^(?<year>\\d{4})-${day}T${time}(?<zone>Z|[+-]\\d\\d:?\\d\\d) `), // rsyslog RFC 3339, journalctl -o short-iso
  new RegExp(`^[A-Z][a-z]{2} (?<year>\\d{4})-${day} ${time} (?:[A-Z]{2,5}|[+-]\\d{2,4}) `), // journalctl -o short-full, with-unit
  /^(?<unix>\d{9,11})\.(?<fraction>\d{1,9}) /, // journalctl -o short-unix
  /^\[ {0,12}\d{1,12}\.\d{1,9}\] /, // journalctl -o short-monotonic
];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const someLeapYear = '2000';

/** Reads the time at the start of a log line; null when there is none. */
export function readLogTime(line: string): Stamp | null {
  for (const form of forms) {
    const match = form.exec(line);
    if (match === null) continue;
    const timeMs = toMs(match.groups ?? {});
    if (Number.isNaN(timeMs)) continue;
    return { timeMs, text: match[0].trim(), length: match[0].length };
  }
  return null;
}

function toMs({
  unix,
  name,
  year = someLeapYear,
  month,
  day: date,
  hour,
  minute,
  second,
  fraction = '',
  zone = 'Z',
}: Parts): number | null {
  const millis = Number(fraction.padEnd(3, '0').slice(0, 3));
  if (unix !== undefined) return Number(unix) * 1000 + millis;
  if (date === undefined) return null;
  const named = name === undefined ? Number(month) : months.indexOf(name) + 1;
  const seconds = Math.min(Number(second), 59); // a leap second
  const whole = Date.UTC(Number(year), named - 1, Number(date), Number(hour), Number(minute), seconds);
  if (named < 1 || named > 12 || Number(date) < 1 || Number(date) > 31 || Number(hour) > 23 || Number(minute) > 59) return Number.NaN;
  const [, sign = '+', zoneHours = '0', zoneMinutes = '0'] = /^([+-])(\d\d):?(\d\d)$/.exec(zone) ?? [];
  const offset = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
  return whole + millis - (sign === '-' ? -offset : offset);
}
