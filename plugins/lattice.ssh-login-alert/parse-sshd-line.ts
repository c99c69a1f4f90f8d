import { type Origin, parseOrigin, uncertain } from './address.ts';

/** What one message of sshd says. `known` is false when sshd says that there is no such account, or that it may not log in. */
export type SshdEvent =
  | { kind: 'login'; method: string; user: string; origin: Origin; key: string | null; times: number }
  | { kind: 'failure'; method: string; user: string | null; known: boolean; origin: Origin; times: number }
  | { kind: 'invalid-user'; user: string; origin: Origin; times: number }
  | { kind: 'gave-up'; user: string; known: boolean; origin: Origin; times: number } // ended before it was authenticated
  | { kind: 'exhausted'; user: string; known: boolean; origin: Origin; times: number }
  | { kind: 'noted'; what: string; times: number };

const nameBytes = 100; // sshd prints names with %.100s
const messageCap = 4096; // sshd's own buffer has 1 024; what is longer was not written by it

const keyType = '[A-Za-z0-9][A-Za-z0-9-]*';
const fingerprint = '(?:[A-Z0-9]+:[A-Za-z0-9+/=]{20,100}|(?:MD5:)?[0-9a-f]{2}(?::[0-9a-f]{2}){15}|\\(null\\))';
const plainKey = `${keyType} ${fingerprint}`;
const certificate = `${keyType}-CERT (?:${fingerprint} )?ID .* \\(serial \\d+\\) CA ${plainKey}`; // the ID is free text of whoever made the key
const key = `(?:${plainKey}|${certificate})`;
const trailers: Readonly<Record<string, RegExp>> = {
  publickey: new RegExp(`^${key}$`),
  hostbased: new RegExp(`^(?:${key}(?:, |$))?(?:client user ".*", client host ".*")?$`),
  'gssapi-with-mic': /^\S+$/,
  'gssapi-keyex': /^\S+$/,
};
const shownKey = new RegExp(`^(${keyType} ${fingerprint})`);

/** Reads a message, without the syslog prefix; null when sshd writes no such message. */
export function parseSshdMessage(text: string): SshdEvent | null {
  if (text.length > messageCap) return null;
  const repeated = /^message repeated (\d{1,6}) times: \[ (.*)\]$/.exec(text);
  const event = parseOnce(repeated?.[2] ?? text);
  return event === null ? null : { ...event, times: Number(repeated?.[1] ?? 1) };
}

function parseOnce(text: string): SshdEvent | null {
  const message = text.replace(/^(?:error|fatal|debug1): /, '').replace(/ \[preauth\]$/, '');
  return parseVerdict(message) ?? parseNamed(message) ?? parseNoted(message);
}

type Reading = { user: string; address: string; port: string; trailer: string | null };

/** `Accepted publickey for [invalid user ]NAME from ADDRESS port N ssh2[: KEY]` */
function parseVerdict(message: string): SshdEvent | null {
  const [, verdict, method, invalid, rest] =
    /^(Accepted|Failed|Partial|Postponed) ([a-z0-9-]+(?:\/[a-z0-9-]+)?) for (invalid user )?(.*)$/.exec(message) ?? [];
  if (verdict === undefined || method === undefined || rest === undefined) return null;
  const known = invalid === undefined;
  const readings = findReadings(rest);
  const reading = known ? readings[0] : pickReading(readings, method);
  if (readings.length === 0) return null;
  const origin = reading === undefined ? uncertain : parseOrigin(reading.address, reading.port);
  if (origin === null) return null;
  if (verdict === 'Failed') return { kind: 'failure', method, user: reading?.user ?? null, known, origin, times: 1 };
  if (verdict !== 'Accepted' || !known || reading === undefined) return { kind: 'noted', what: verdict.toLowerCase(), times: 1 };
  return { kind: 'login', method, user: reading.user, origin, key: shownKey.exec(reading.trailer ?? '')?.[1] ?? null, times: 1 };
}

/** Every place where a name could end and sshd's own words begin, from the left. The true one is always among them. */
function findReadings(rest: string): Reading[] {
  return [...rest.matchAll(/ from (\S+) port (\d{1,5}) ssh2(?=$|: )/g)].flatMap((match) => {
    const [matched, address = '', port = ''] = match;
    const after = rest.slice(match.index + matched.length);
    const reading = { user: rest.slice(0, match.index), address, port, trailer: after === '' ? null : after.slice(2) };
    return parseOrigin(address, port) === null ? [] : [reading];
  });
}

/**
 * The name of an account that does not exist is whatever the attacker sent, and so is the ID of a certificate behind the address. A
 * reading stands only if all that follows the address is what sshd writes for this method, and only if no other reading does. (The
 * name of an account that exists was given by the administrator: there the first reading is the true one, whatever a key says behind it.)
 */
function pickReading(readings: readonly Reading[], method: string): Reading | undefined {
  if (readings.length === 1) return readings[0];
  const trailer = trailers[method];
  const possible = readings.filter(
    ({ user, trailer: text }) => printedLength(user) <= nameBytes && (text === null || trailer?.test(text) === true),
  );
  return possible.length === 1 ? possible[0] : undefined;
}

/** The length of a name before sshd escaped it: `\n`, `\\`, `\303`. */
const printedLength = (name: string): number => name.replace(/\\(?:[0-7]{3}|.)/g, '_').length;

/** Messages where a name is followed by nothing but sshd's own words: anchored at the end, so that the last address is taken. */
const named: readonly [RegExp, (user: string, origin: Origin, word: string) => SshdEvent][] = [
  [/^(Invalid) user (.*) from (\S+)(?: port (\d{1,5}))?$/, (user, origin) => ({ kind: 'invalid-user', user, origin, times: 1 })],
  [
    /^(?:Connection (?:closed|reset) by|Disconnected from) (authenticating|invalid) user (.*) (\S+) port (\d{1,5})$/,
    (user, origin, word) => ({ kind: 'gave-up', user, known: word === 'authenticating', origin, times: 1 }),
  ],
  [
    /^maximum authentication attempts exceeded for (invalid user )?(.*) from (\S+) port (\d{1,5}) ssh2$/,
    (user, origin, word) => ({ kind: 'exhausted', user, known: word === '', origin, times: 1 }),
  ],
];

function parseNamed(message: string): SshdEvent | null {
  for (const [pattern, make] of named) {
    const [matched, word = '', user = '', address = '', port] = pattern.exec(message) ?? [];
    if (matched === undefined) continue;
    const origin = parseOrigin(address, port);
    return origin === null ? null : make(user, origin, word);
  }
  return null;
}

/** Messages that mean nothing for a login, told by how they begin: what follows may have been written by the other end. */
const noted: readonly [RegExp, string][] = [
  [
    /^(?:Connection (?:closed|reset|timed out)|Connection from |Disconnect(?:ed|ing)\b|Received disconnect from |Close session: |ssh_dispatch_run_fatal: |Read error from |Write failed: )/,
    'connection',
  ],
  [
    /^(?:Did not receive identification string|Bad protocol version|banner exchange: |kex_|Unable to negotiate|Protocol major versions differ|ssh_packet_|padding error|Bad packet length|Corrupted MAC|Bad remote protocol)/,
    'handshake',
  ],
  [/^(?:pam_[a-z0-9_]+\(sshd:|PAM[ :])/, 'pam'],
  [/^(?:User .* (?:not allowed|from )|ROOT LOGIN REFUSED|Authentication refused|Login name |Root login accepted)/, 'refused'],
  [
    /^(?:Starting session|User child is on pid|subsystem request|session opened for local user|session closed for local user|Accepted key |Found matching|Connection info|Authenticated to )/,
    'session',
  ],
  [
    /^(?:Server listening on|Received signal|Received SIGHUP|Exiting on signal|Timeout before authentication|beginning MaxStartups|exited MaxStartups|drop connection #|srclimit_penalise)/,
    'server',
  ],
  [
    /^(?:Address \S+ maps to|reverse mapping|Nasty PTR record|input_userauth_request|userauth_|Authentication key |key_|Could not|Unable to|mm_|monitor_|dispatch_|ssh_sandbox)/,
    'detail',
  ],
];

function parseNoted(message: string): SshdEvent | null {
  const what = noted.find(([pattern]) => pattern.test(message))?.[1];
  return what === undefined ? null : { kind: 'noted', what, times: 1 };
}
