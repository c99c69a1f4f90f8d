import t from 'tap';
import { parseSshdMessage } from '../../../plugins/lattice.ssh-login-alert/parse-sshd-line.ts';

const print = 'SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8';
const ca = 'SHA256:Jk0fGx7dN3h0p8p4nXW5tG8oO0s6bVqTt1Zz9cYw2uE';
const at = (address: string, port: number | null, source = address) => ({ address, source, port });
const a = at('203.0.113.9', 53122);

const login = (method: string, user: string, origin = a, key: string | null = null) => ({
  kind: 'login',
  method,
  user,
  origin,
  key,
  times: 1,
});
const failure = (method: string, user: string | null, known = true, origin = a, times = 1) => ({
  kind: 'failure',
  method,
  user,
  known,
  origin,
  times,
});
const noted = (what: string, times = 1) => ({ kind: 'noted', what, times });

const corpus: [string, unknown][] = [
  // logins, by every method
  ['Accepted password for root from 203.0.113.9 port 53122 ssh2', login('password', 'root')],
  ['Accepted none for guest from 203.0.113.9 port 53122 ssh2', login('none', 'guest')],
  [`Accepted publickey for git from 203.0.113.9 port 53122 ssh2: ED25519 ${print}`, login('publickey', 'git', a, `ED25519 ${print}`)],
  [`Accepted publickey for git from 203.0.113.9 port 53122 ssh2: ECDSA-SK ${print}`, login('publickey', 'git', a, `ECDSA-SK ${print}`)],
  [
    `Accepted publickey for git from 203.0.113.9 port 53122 ssh2: RSA-CERT ${print} ID alice@laptop (serial 42) CA ED25519 ${ca}`,
    login('publickey', 'git', a, `RSA-CERT ${print}`),
  ],
  [`Accepted publickey for git from 203.0.113.9 port 53122 ssh2: ED25519-CERT ID alice (serial 0) CA RSA ${ca}`, login('publickey', 'git')],
  [
    'Accepted publickey for git from 203.0.113.9 port 53122 ssh2: RSA 16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48',
    login('publickey', 'git', a, 'RSA 16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48'),
  ],
  [
    'Accepted publickey for git from 203.0.113.9 port 53122 ssh2: RSA MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48',
    login('publickey', 'git', a, 'RSA MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48'),
  ],
  ['Accepted publickey for git from 203.0.113.9 port 53122 ssh2', login('publickey', 'git')],
  ['Accepted keyboard-interactive/pam for ada from 203.0.113.9 port 53122 ssh2', login('keyboard-interactive/pam', 'ada')],
  ['Accepted keyboard-interactive/bsdauth for ada from 203.0.113.9 port 53122 ssh2', login('keyboard-interactive/bsdauth', 'ada')],
  [
    `Accepted hostbased for ada from 203.0.113.9 port 53122 ssh2: RSA ${print}, client user "ada", client host "ws1.example.net"`,
    login('hostbased', 'ada', a, `RSA ${print}`),
  ],
  ['Accepted gssapi-with-mic for ada from 203.0.113.9 port 53122 ssh2: ada@EXAMPLE.NET', login('gssapi-with-mic', 'ada')],
  ['Accepted gssapi-keyex for ada from 203.0.113.9 port 53122 ssh2: ada@EXAMPLE.NET', login('gssapi-keyex', 'ada')],
  ['Accepted password for EXAMPLE\\\\john doe from 203.0.113.9 port 53122 ssh2', login('password', 'EXAMPLE\\\\john doe')],
  ['Accepted password for j.doe@example.net from 203.0.113.9 port 53122 ssh2', login('password', 'j.doe@example.net')],
  // addresses
  ['Accepted password for root from 2001:db8::1 port 22 ssh2', login('password', 'root', at('2001:db8::1', 22, '2001:db8::/64'))],
  [
    'Accepted password for root from fe80::5054:ff:fe12:3456%eth0 port 22 ssh2',
    login('password', 'root', at('fe80::5054:ff:fe12:3456%eth0', 22, 'fe80::/64%eth0')),
  ],
  ['Accepted password for root from ::ffff:203.0.113.9 port 53122 ssh2', login('password', 'root')],
  ['Accepted password for root from ::1 port 22 ssh2', login('password', 'root', at('::1', 22, '::/64'))],
  ['Accepted password for root from UNKNOWN port 65535 ssh2', login('password', 'root', at('unknown', 65535))],
  // failures
  ['Failed password for root from 203.0.113.9 port 53122 ssh2', failure('password', 'root')],
  ['Failed password for invalid user admin from 203.0.113.9 port 53122 ssh2', failure('password', 'admin', false)],
  ['Failed password for invalid user  from 203.0.113.9 port 53122 ssh2', failure('password', '', false)],
  ['Failed none for invalid user admin from 203.0.113.9 port 53122 ssh2', failure('none', 'admin', false)],
  [`Failed publickey for root from 203.0.113.9 port 53122 ssh2: RSA ${print}`, failure('publickey', 'root')],
  [
    `Failed publickey for invalid user x from 203.0.113.9 port 53122 ssh2: ED25519-CERT ${print} ID y (serial 1) CA RSA ${ca}`,
    failure('publickey', 'x', false),
  ],
  ['Failed keyboard-interactive/pam for root from 203.0.113.9 port 53122 ssh2', failure('keyboard-interactive/pam', 'root')],
  ['Failed keyboard-interactive for root from 203.0.113.9 port 53122 ssh2 [preauth]', failure('keyboard-interactive', 'root')],
  [
    'Failed hostbased for root from 203.0.113.9 port 53122 ssh2: client user "root", client host "evil.example"',
    failure('hostbased', 'root'),
  ],
  ['Failed gssapi-with-mic for root from 203.0.113.9 port 53122 ssh2', failure('gssapi-with-mic', 'root')],
  ['message repeated 5 times: [ Failed password for root from 203.0.113.9 port 53122 ssh2]', failure('password', 'root', true, a, 5)],
  [
    'message repeated 2 times: [ Failed password for invalid user a] b from 203.0.113.9 port 53122 ssh2]',
    failure('password', 'a] b', false, a, 2),
  ],
  // steps on the way
  [`Postponed publickey for root from 203.0.113.9 port 53122 ssh2 [preauth]`, noted('postponed')],
  ['Postponed keyboard-interactive for invalid user x from 203.0.113.9 port 53122 ssh2 [preauth]', noted('postponed')],
  [`Partial publickey for root from 203.0.113.9 port 53122 ssh2: ED25519 ${print}`, noted('partial')],
  // names that do not exist
  ['Invalid user admin from 203.0.113.9 port 53122', { kind: 'invalid-user', user: 'admin', origin: a, times: 1 }],
  ['Invalid user  from 203.0.113.9 port 53122', { kind: 'invalid-user', user: '', origin: a, times: 1 }],
  ['Invalid user admin from 203.0.113.9', { kind: 'invalid-user', user: 'admin', origin: at('203.0.113.9', null), times: 1 }],
  [
    'Invalid user x y from 2001:db8::7 port 9',
    { kind: 'invalid-user', user: 'x y', origin: at('2001:db8::7', 9, '2001:db8::/64'), times: 1 },
  ],
  // ends before authentication
  [
    'Connection closed by authenticating user root 203.0.113.9 port 53122 [preauth]',
    { kind: 'gave-up', user: 'root', known: true, origin: a, times: 1 },
  ],
  [
    'Connection reset by authenticating user root 203.0.113.9 port 53122 [preauth]',
    { kind: 'gave-up', user: 'root', known: true, origin: a, times: 1 },
  ],
  [
    'Connection closed by invalid user admin 203.0.113.9 port 53122 [preauth]',
    { kind: 'gave-up', user: 'admin', known: false, origin: a, times: 1 },
  ],
  ['Connection closed by invalid user  203.0.113.9 port 53122 [preauth]', { kind: 'gave-up', user: '', known: false, origin: a, times: 1 }],
  [
    'Disconnected from authenticating user root 203.0.113.9 port 53122 [preauth]',
    { kind: 'gave-up', user: 'root', known: true, origin: a, times: 1 },
  ],
  [
    'Disconnected from invalid user admin 203.0.113.9 port 53122 [preauth]',
    { kind: 'gave-up', user: 'admin', known: false, origin: a, times: 1 },
  ],
  [
    'error: maximum authentication attempts exceeded for root from 203.0.113.9 port 53122 ssh2 [preauth]',
    { kind: 'exhausted', user: 'root', known: true, origin: a, times: 1 },
  ],
  [
    'error: maximum authentication attempts exceeded for invalid user x from 203.0.113.9 port 53122 ssh2 [preauth]',
    { kind: 'exhausted', user: 'x', known: false, origin: a, times: 1 },
  ],
  // what else sshd writes
  ...(
    [
      ['Connection closed by 203.0.113.9 port 53122 [preauth]', 'connection'],
      ['Connection closed by UNKNOWN port 65535 [preauth]', 'connection'],
      ['Connection reset by 203.0.113.9 port 53122', 'connection'],
      ['Connection from 203.0.113.9 port 53122 on 198.51.100.1 port 22 rdomain ""', 'connection'],
      ['Disconnected from user root 203.0.113.9 port 53122', 'connection'],
      ['Disconnected from 203.0.113.9 port 53122 [preauth]', 'connection'],
      ['Disconnecting authenticating user root 203.0.113.9 port 53122: Too many authentication failures [preauth]', 'connection'],
      [
        'Disconnecting invalid user x 203.0.113.9 port 53122: Change of username or service not allowed: (x,ssh-connection) -> (y,ssh-connection) [preauth]',
        'connection',
      ],
      ['Received disconnect from 203.0.113.9 port 53122:11: Bye Bye [preauth]', 'connection'],
      ['error: Received disconnect from 203.0.113.9 port 53122:3: com.jcraft.jsch.JSchException: Auth fail [preauth]', 'connection'],
      ['Received disconnect from 203.0.113.9: 11: disconnected by user', 'connection'],
      ['Connection timed out during banner exchange', 'connection'],
      ['ssh_dispatch_run_fatal: Connection from 203.0.113.9 port 53122: message authentication code incorrect [preauth]', 'connection'],
      ['Close session: user root from 203.0.113.9 port 53122 id 0', 'connection'],
      ['Did not receive identification string from 203.0.113.9 port 53122', 'handshake'],
      ["Bad protocol version identification 'GET / HTTP/1.1' from 203.0.113.9 port 53122", 'handshake'],
      ['banner exchange: Connection from 203.0.113.9 port 53122: invalid format', 'handshake'],
      ['error: kex_exchange_identification: Connection closed by remote host', 'handshake'],
      ['error: kex_exchange_identification: client sent invalid protocol identifier "GET / HTTP/1.1"', 'handshake'],
      [
        'Unable to negotiate with 203.0.113.9 port 53122: no matching key exchange method found. Their offer: diffie-hellman-group1-sha1 [preauth]',
        'handshake',
      ],
      ['pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root', 'pam'],
      ['pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)', 'pam'],
      ['pam_unix(sshd:auth): check pass; user unknown', 'pam'],
      ['PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root', 'pam'],
      ['error: PAM: Authentication failure for root from 203.0.113.9', 'pam'],
      ['User root from 203.0.113.9 not allowed because not listed in AllowUsers', 'refused'],
      ['ROOT LOGIN REFUSED FROM 203.0.113.9 port 53122 [preauth]', 'refused'],
      ['User child is on pid 4242', 'session'],
      ['Starting session: shell on pts/0 for root from 203.0.113.9 port 53122 id 0', 'session'],
      ['subsystem request for sftp by user root', 'session'],
      ['Server listening on 0.0.0.0 port 22.', 'server'],
      ['Received signal 15; terminating.', 'server'],
      ['fatal: Timeout before authentication for 203.0.113.9 port 53122', 'server'],
      ['Timeout before authentication for connection from 203.0.113.9 to 198.51.100.1, pid = 4242', 'server'],
      ['drop connection #0 from [203.0.113.9]:53122 on [198.51.100.1]:22 penalty: failed authentication', 'server'],
      ['srclimit_penalise: ipv4: new 203.0.113.9/32 deferred penalty of 5 seconds for penalty: failed authentication', 'server'],
      ['Address 203.0.113.9 maps to host.example, but this does not map back to the address.', 'detail'],
      ['input_userauth_request: invalid user admin [preauth]', 'detail'],
    ] as [string, string][]
  ).map(([text, what]): [string, unknown] => [text, noted(what)]),
];
for (const [text, expected] of corpus) {
  t.test(`given the message ${JSON.stringify(text)}, when it is parsed, then it is what sshd meant`, async (t) => {
    t.same(parseSshdMessage(text), expected);
  });
}

const crafted: [string, unknown][] = [
  [
    'Failed password for invalid user x from 6.6.6.6 port 1 ssh2 from 203.0.113.9 port 53122 ssh2',
    failure('password', 'x from 6.6.6.6 port 1 ssh2', false),
  ],
  [
    'Failed password for invalid user x from 6.6.6.6 port 1 ssh2: RSA y from 203.0.113.9 port 53122 ssh2',
    failure('password', 'x from 6.6.6.6 port 1 ssh2: RSA y', false),
  ],
  [
    `Failed publickey for invalid user x from 6.6.6.6 port 1 ssh2 from 203.0.113.9 port 53122 ssh2: RSA ${print}`,
    failure('publickey', 'x from 6.6.6.6 port 1 ssh2', false),
  ],
  [
    `Failed password for invalid user x\\nAccepted password for root from 6.6.6.6 port 1 ssh2 from 203.0.113.9 port 53122 ssh2`,
    failure('password', 'x\\nAccepted password for root from 6.6.6.6 port 1 ssh2', false),
  ],
  ['Failed password for invalid user invalid user root from 203.0.113.9 port 53122 ssh2', failure('password', 'invalid user root', false)],
  [
    'Invalid user Accepted password for root from 6.6.6.6 port 1 ssh2 from 203.0.113.9 port 53122',
    { kind: 'invalid-user', user: 'Accepted password for root from 6.6.6.6 port 1 ssh2', origin: a, times: 1 },
  ],
  [
    'Invalid user x from 6.6.6.6 port 1 from 203.0.113.9 port 53122',
    { kind: 'invalid-user', user: 'x from 6.6.6.6 port 1', origin: a, times: 1 },
  ],
  [
    'Connection closed by invalid user x 6.6.6.6 port 1 [preauth] 203.0.113.9 port 53122 [preauth]',
    { kind: 'gave-up', user: 'x 6.6.6.6 port 1 [preauth]', known: false, origin: a, times: 1 },
  ],
  [
    'Disconnected from invalid user x 6.6.6.6 port 1 203.0.113.9 port 53122 [preauth]',
    { kind: 'gave-up', user: 'x 6.6.6.6 port 1', known: false, origin: a, times: 1 },
  ],
  // A certificate's ID is free text too. Of an account that exists the first address is sshd's; else neither is believed.
  [
    `Accepted publickey for git from 203.0.113.9 port 53122 ssh2: RSA-CERT ${print} ID z from 6.6.6.6 port 1 ssh2: RSA-CERT ${print} ID y (serial 1) CA RSA ${ca}`,
    login('publickey', 'git', a, `RSA-CERT ${print}`),
  ],
  [
    `Failed publickey for root from 203.0.113.9 port 53122 ssh2: RSA-CERT ${print} ID z from 6.6.6.6 port 1 ssh2: RSA ${print}`,
    failure('publickey', 'root'),
  ],
  [
    `Failed publickey for invalid user q from 203.0.113.9 port 53122 ssh2: RSA-CERT ${print} ID z from 6.6.6.6 port 1 ssh2: RSA-CERT ${print} ID y (serial 1) CA RSA ${ca}`,
    failure('publickey', null, false, at('uncertain', null)),
  ],
  [
    `Failed hostbased for root from 203.0.113.9 port 53122 ssh2: RSA ${print}, client user "x from 6.6.6.6 port 1 ssh2", client host "h"`,
    failure('hostbased', 'root'),
  ],
];
for (const [text, expected] of crafted) {
  t.test(
    `given the crafted message ${JSON.stringify(text)}, when it is parsed, then nothing in it is believed but sshd's own words`,
    async (t) => {
      t.same(parseSshdMessage(text), expected);
    },
  );
}

const notSshd = [
  '',
  'hello',
  'accepted password for root from 203.0.113.9 port 53122 ssh2',
  ' Accepted password for root from 203.0.113.9 port 53122 ssh2',
  'xAccepted password for root from 203.0.113.9 port 53122 ssh2',
  'Accepted password for root from 203.0.113.9 port 53122',
  'Accepted password for root from 203.0.113.9 port 99999 ssh2',
  'Accepted password for root from host.example port 53122 ssh2',
  'Accepted password for root from 203.0.113.9 port 53122 ssh2 and more',
  'Accepted password for root from 203.0.113.9 port 53122 ssh2\nAccepted password for root from 6.6.6.6 port 1 ssh2',
  'Accepted pass word for root from 203.0.113.9 port 53122 ssh2',
  `Accepted password for ${'x'.repeat(5000)} from 203.0.113.9 port 53122 ssh2`,
  'message repeated 3 times: [ message repeated 3 times: [ Failed password for root from 203.0.113.9 port 53122 ssh2]]',
  'root : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/sh',
];
for (const text of notSshd) {
  t.test(`given the text ${JSON.stringify(text.slice(0, 120))}, when it is parsed, then it is no message of sshd`, async (t) => {
    t.equal(parseSshdMessage(text), null);
  });
}
