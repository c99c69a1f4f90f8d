import fc from 'fast-check';
import t from 'tap';
import { parseSshdMessage } from '../../../plugins/lattice.ssh-login-alert/parse-sshd-line.ts';
import { readLogLine } from '../../../plugins/lattice.ssh-login-alert/read-log-line.ts';

/** Escapes as sshd does before it hands a message to syslog: C style, then octal; a name is cut at 100 bytes before that. */
function escapeBytes(bytes: Buffer): string {
  const named: Record<number, string> = { 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r', 92: '\\\\' };
  return [...bytes]
    .map((byte) => named[byte] ?? (byte < 0x20 || byte > 0x7e ? `\\${byte.toString(8).padStart(3, '0')}` : String.fromCharCode(byte)))
    .join('');
}
const printed = (name: string) => escapeBytes(Buffer.from(name).subarray(0, 100));

const print = 'SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8';
const fragments = [
  'root',
  'x',
  ' ',
  '  ',
  ' from ',
  '6.6.6.6',
  ' port ',
  '1',
  ' ssh2',
  ': ',
  '[preauth]',
  ' [preauth]',
  'invalid user ',
  'invalid user',
  'authenticating user ',
  '\n',
  '\\n',
  '\r',
  ']',
  '[',
  ' for ',
  ' from 6.6.6.6 port 1 ssh2',
  ' from 6.6.6.6 port 1',
  ' 6.6.6.6 port 1',
  ' from ::1 port 1 ssh2',
  ` from 6.6.6.6 port 1 ssh2: RSA ${print}`,
  'Accepted password for root from 6.6.6.6 port 1 ssh2',
  'Jan  5 10:00:01 web1 sshd[1]: ',
  'sshd[1]: ',
  'message repeated 9 times: [ ',
  '{"MESSAGE":"',
  '\u202e',
  'é',
  '\u0000',
];
const evil = fc.oneof(
  fc.array(fc.constantFrom(...fragments), { maxLength: 8 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 120 }),
  fc.string({ maxLength: 120 }),
);
const account = fc.stringMatching(/^[a-z_][a-z0-9_.-]{0,31}$/);
const address = fc.oneof(fc.constant('203.0.113.9'), fc.ipV4());
const port = fc.integer({ min: 1, max: 65535 });
const methods = fc.constantFrom<[string, string]>(
  ['password', ''],
  ['none', ''],
  ['keyboard-interactive/pam', ''],
  ['publickey', `: ED25519 ${print}`],
  ['publickey', ''],
  ['publickey', `: RSA-CERT ${print} ID honest (serial 7) CA RSA ${print}`],
  ['hostbased', `: RSA ${print}, client user "a", client host "b"`],
  ['gssapi-with-mic', ''],
);
const prefixes = fc.constantFrom(
  'Jan  5 10:00:01 web1 sshd[4242]: ',
  '2026-01-05T10:00:01.123456+02:00 web1 sshd-session[7]: ',
  'Mon 2026-01-05 10:00:01 UTC web1 ssh.service[9]: ',
);

function parse(prefix: string, message: string) {
  const line = readLogLine(prefix + message, 'file:auth.log');
  return line?.program === 'sshd' ? parseSshdMessage(line.message) : null;
}

t.test('given a name of any shape, when sshd writes that its login failed, then method, name and address are what sshd wrote', async () => {
  fc.assert(
    fc.property(prefixes, methods, evil, address, port, (prefix, [method, trailer], name, from, at) => {
      const event = parse(prefix, `Failed ${method} for invalid user ${printed(name)} from ${from} port ${at} ssh2${trailer}`);
      if (event?.kind !== 'failure' || event.method !== method || event.known) return false;
      if (event.origin.source === 'uncertain') return false; // only a certificate of the attacker's own could make it so
      return event.user === printed(name) && event.origin.address === from && event.origin.port === at;
    }),
    { numRuns: 5000 },
  );
});

t.test(
  'given a name that imitates a certificate behind an address, when an honest certificate follows, then no wrong address is taken',
  async () => {
    const imitation = fc.tuple(evil, evil).map(([before, after]) => `${before} from 6.6.6.6 port 1 ssh2: RSA-CERT ${print} ID ${after}`);
    fc.assert(
      fc.property(imitation, address, port, (name, from, at) => {
        const event = parse(
          'Jan  5 10:00:01 web1 sshd[1]: ',
          `Failed publickey for invalid user ${printed(name)} from ${from} port ${at} ssh2: RSA-CERT ${print} ID honest (serial 7) CA RSA ${print}`,
        );
        if (event?.kind !== 'failure') return false;
        return event.origin.source === 'uncertain' ? event.user === null : event.origin.address === from && event.origin.port === at;
      }),
      { numRuns: 2000 },
    );
  },
);

t.test(
  'given a name of any shape, when sshd writes that there is no such user or that the connection ended, then the address is what sshd wrote',
  async () => {
    const forms: [string, (name: string, from: string, at: number) => string][] = [
      ['invalid-user', (name, from, at) => `Invalid user ${name} from ${from} port ${at}`],
      ['gave-up', (name, from, at) => `Connection closed by invalid user ${name} ${from} port ${at} [preauth]`],
      ['gave-up', (name, from, at) => `Connection reset by invalid user ${name} ${from} port ${at} [preauth]`],
      ['gave-up', (name, from, at) => `Disconnected from invalid user ${name} ${from} port ${at} [preauth]`],
      [
        'exhausted',
        (name, from, at) =>
          `error: maximum authentication attempts exceeded for invalid user ${name} from ${from} port ${at} ssh2 [preauth]`,
      ],
    ];
    fc.assert(
      fc.property(prefixes, fc.constantFrom(...forms), evil, address, port, (prefix, [kind, write], name, from, at) => {
        const event = parse(prefix, write(printed(name), from, at));
        return (
          event !== null &&
          event.kind === kind &&
          'origin' in event &&
          event.origin.address === from &&
          event.origin.port === at &&
          event.user === printed(name)
        );
      }),
      { numRuns: 5000 },
    );
  },
);

t.test('given the other end writes any text where it may, when sshd logs it, then it is never a login or a failure', async () => {
  const forms = [
    (text: string) => `Received disconnect from 203.0.113.9 port 5:11: ${text} [preauth]`,
    (text: string) =>
      `Disconnecting invalid user x 203.0.113.9 port 5: Change of username or service not allowed: (x,ssh-connection) -> (${text},ssh-connection) [preauth]`,
    (text: string) => `Unable to negotiate with 203.0.113.9 port 5: no matching host key type found. Their offer: ${text} [preauth]`,
    (text: string) => `Bad protocol version identification '${text}' from 203.0.113.9 port 5`,
    (text: string) => `error: kex_exchange_identification: client sent invalid protocol identifier "${text}"`,
    (text: string) => `pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=${text}`,
    (text: string) => `User ${text} from 203.0.113.9 not allowed because not listed in AllowUsers`,
    (text: string) => `input_userauth_request: invalid user ${text} [preauth]`,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...forms), evil, (write, text) => {
      const event = parse('Jan  5 10:00:01 web1 sshd[1]: ', write(printed(text)));
      return event === null || event.kind === 'noted';
    }),
    { numRuns: 5000 },
  );
});

t.test(
  'given an account and a certificate with any ID, when its login is accepted, then name and address are what sshd wrote',
  async () => {
    fc.assert(
      fc.property(account, evil, address, port, (name, id, from, at) => {
        const event = parse(
          'Jan  5 10:00:01 web1 sshd[1]: ',
          `Accepted publickey for ${name} from ${from} port ${at} ssh2: RSA-CERT ${print} ID ${escapeBytes(Buffer.from(id))} (serial 1) CA RSA ${print}`,
        );
        return event?.kind === 'login' && event.user === name && event.origin.address === from && event.origin.port === at;
      }),
      { numRuns: 2000 },
    );
  },
);

t.test('given any text, when it is read as a line, then nothing is thrown', async () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.json(), evil),
      fc.constantFrom('journal', 'x'),
      (text, source) => readLogLine(text, source) !== undefined && parseSshdMessage(text) !== undefined,
    ),
    { numRuns: 3000 },
  );
});
