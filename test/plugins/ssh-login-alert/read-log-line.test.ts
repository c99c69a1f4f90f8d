import t from 'tap';
import { readLogLine } from '../../../plugins/lattice.ssh-login-alert/read-log-line.ts';

const message = 'Accepted password for root from 203.0.113.9 port 53122 ssh2';
const is = (timeMs: number | null, time: string) => ({ program: 'sshd', message, timeMs, time });
const ms = (text: string) => Date.parse(text);

const lines: [string, ReturnType<typeof is>][] = [
  [`Jan  5 10:00:01 web1 sshd[4242]: ${message}`, is(ms('2000-01-05T10:00:01Z'), 'Jan  5 10:00:01')],
  [`Jan  5 10:00:01 web1 sshd: ${message}`, is(ms('2000-01-05T10:00:01Z'), 'Jan  5 10:00:01')],
  [`Jan 05 10:00:01 web1 sshd[4242]: ${message}`, is(ms('2000-01-05T10:00:01Z'), 'Jan 05 10:00:01')],
  [`Jan 05 10:00:01.123456 web1 sshd[4242]: ${message}`, is(ms('2000-01-05T10:00:01.123Z'), 'Jan 05 10:00:01.123456')],
  [`Feb 29 23:59:60 web1 sshd[1]: ${message}`, is(ms('2000-02-29T23:59:59Z'), 'Feb 29 23:59:60')],
  [`Jan  5 10:00:01 2026 web1 sshd[4242]: ${message}`, is(ms('2026-01-05T10:00:01Z'), 'Jan  5 10:00:01 2026')],
  [
    `2026-01-05T10:00:01.123456+02:00 web1 sshd[4242]: ${message}`,
    is(ms('2026-01-05T10:00:01.123+02:00'), '2026-01-05T10:00:01.123456+02:00'),
  ],
  [`2026-01-05T10:00:01+0000 web1 sshd[4242]: ${message}`, is(ms('2026-01-05T10:00:01Z'), '2026-01-05T10:00:01+0000')],
  [`2026-01-05T10:00:01-03:30 web1 sshd[4242]: ${message}`, is(ms('2026-01-05T10:00:01-03:30'), '2026-01-05T10:00:01-03:30')],
  [`2026-01-05T10:00:01Z web1 sshd-session[4242]: ${message}`, is(ms('2026-01-05T10:00:01Z'), '2026-01-05T10:00:01Z')],
  [`2026-01-05T10:00:01Z web1 sshd-auth[4242]: ${message}`, is(ms('2026-01-05T10:00:01Z'), '2026-01-05T10:00:01Z')],
  [`Mon 2026-01-05 10:00:01 UTC web1 ssh.service[4242]: ${message}`, is(ms('2026-01-05T10:00:01Z'), 'Mon 2026-01-05 10:00:01 UTC')],
  [
    `Mon 2026-01-05 10:00:01 CEST web1 sshd@12-198.51.100.1:22-203.0.113.9:53122.service[4242]: ${message}`,
    is(ms('2026-01-05T10:00:01Z'), 'Mon 2026-01-05 10:00:01 CEST'),
  ],
  [`1767607201.654321 web1 sshd[4242]: ${message}`, is(1767607201654, '1767607201.654321')],
  [`[ 1234.567890] web1 sshd[4242]: ${message}`, is(null, '[ 1234.567890]')],
  [`Jan  5 10:00:01 2001:db8::7 sshd[4242]: ${message}`, is(ms('2000-01-05T10:00:01Z'), 'Jan  5 10:00:01')],
];
for (const [line, expected] of lines) {
  t.test(`given the line ${JSON.stringify(line)}, when it is read, then sshd's message and its time are found`, async (t) => {
    t.same(readLogLine(line, 'file:auth.log'), expected);
  });
}

const others = [
  `Jan  5 10:00:01 web1 sudo[1]: ${message}`,
  `Jan  5 10:00:01 web1 su: ${message}`,
  `Jan  5 10:00:01 web1 CRON[77]: pam_unix(cron:session): session opened for user root`,
  `Jan  5 10:00:01 web1 sshdx[1]: ${message}`,
  `Jan  5 10:00:01 web1 xsshd[1]: ${message}`,
  `Jan  5 10:00:01 web1 sshd-keygen[1]: ${message}`,
  `Jan  5 10:00:01 web1 SSHD[1]: ${message}`,
  `Jan  5 10:00:01 web1 sshd[1][2]: ${message}`,
  `Jan  5 10:00:01 web1 sshd[x]: ${message}`,
  `Jan  5 10:00:01 web1 sshd[1] ${message}`,
  `Jan  5 10:00:01 sshd[1]: ${message}`,
  `Jan  5 10:00:01 sshd[1]: su[2]: ${message}`,
  `Jan  5 10:00:01 web1-sshd[1]: cron[2]: sshd[3]: ${message}`,
  `Jan  5 10:00:01 web1 sudo: eve : COMMAND=/bin/echo sshd[1]: ${message}`,
  `Jan  5 10:00:01 web1 x sshd[1]: ${message}`,
  `Jan  5 10:00:01 web1  sshd[1]: ${message}`,
  `Jan  5 10:00:01 web1 user.service[1]: ${message}`,
  `Jan  5 10:00:01 web1 session-4.scope[1]: ${message}`,
];
for (const line of others) {
  t.test(`given the line ${JSON.stringify(line)}, when it is read, then it is another program's`, async (t) => {
    t.same(readLogLine(line, 'file:auth.log'), { program: 'other' });
  });
}

for (const line of [
  '',
  message,
  `sshd[1]: ${message}`,
  `web1 sshd[1]: ${message}`,
  ` Jan  5 10:00:01 web1 sshd[1]: ${message}`,
  `Foo  5 10:00:01 web1 sshd[1]: ${message}`,
  `Jan 32 10:00:01 web1 sshd[1]: ${message}`,
  `2026-13-05T10:00:01Z web1 sshd[1]: ${message}`,
  `-- Boot 1234 --`,
  '{',
  '{"a":',
]) {
  t.test(`given the line ${JSON.stringify(line)}, when it is read, then it is no log line`, async (t) => {
    t.equal(readLogLine(line, 'file:auth.log'), null);
  });
}

const entry = (fields: Record<string, unknown>) =>
  JSON.stringify({
    __REALTIME_TIMESTAMP: '1767607201654321',
    SYSLOG_IDENTIFIER: 'sshd',
    _COMM: 'sshd',
    _UID: '0',
    _TRANSPORT: 'syslog',
    MESSAGE: message,
    ...fields,
  });
const read = is(1767607201654, '2026-01-05T10:00:01.654Z');
const believed: [string, Record<string, unknown>, unknown][] = [
  ['an entry of sshd', {}, read],
  ['one with its executable', { _EXE: '/usr/sbin/sshd' }, read],
  ['one of sshd-session', { SYSLOG_IDENTIFIER: 'sshd-session', _COMM: 'sshd-session', _EXE: '/usr/lib/openssh/sshd-session' }, read],
  ['one whose executable was replaced by an update', { _EXE: '/usr/sbin/sshd (deleted)' }, read],
  ['a message in bytes', { MESSAGE: [...Buffer.from(message)] }, read],
  ['bytes that are not UTF-8', { MESSAGE: [0x41, 0xff, 0x42] }, { ...read, message: 'A\ufffdB' }],
  ['no time', { __REALTIME_TIMESTAMP: undefined }, is(null, 'an unknown time')],
  ['a message too long for the journal to show', { MESSAGE: null }, null],
  ['a message that is a number', { MESSAGE: 7 }, null],
  ['a message of texts', { MESSAGE: ['a', 'b'] }, null],
  ['a message of bytes out of range', { MESSAGE: [300] }, null],
  ['another program', { SYSLOG_IDENTIFIER: 'sudo', _COMM: 'sudo' }, { program: 'other' }],
  ['no identifier', { SYSLOG_IDENTIFIER: undefined }, { program: 'other' }],
  ['two identifiers', { SYSLOG_IDENTIFIER: ['sshd', 'sudo'] }, { program: 'other' }],
  ['a user that runs logger -t sshd', { _COMM: 'logger', _UID: '1000' }, { program: 'not-believed' }],
  ['root that runs logger -t sshd', { _COMM: 'logger' }, { program: 'not-believed' }],
  ['a user whose program is called sshd', { _UID: '1000' }, { program: 'not-believed' }],
  ['a setuid program started through a link called sshd', { _EXE: '/usr/bin/sudo' }, { program: 'not-believed' }],
  ['a command name only the client gave', { _COMM: undefined, COMM: 'sshd' }, { program: 'not-believed' }],
  ['an sshd that prints to its stderr, where a name may hold a line break', { _TRANSPORT: 'stdout' }, { program: 'not-believed' }],
  ['no trusted field at all', { _COMM: undefined, _UID: undefined, _TRANSPORT: undefined }, { program: 'not-believed' }],
];
for (const [what, fields, expected] of believed) {
  t.test(`given a journal entry: ${what}, when it is read, then only what journald itself vouches for is believed`, async (t) => {
    t.same(readLogLine(entry(fields), 'journal'), expected);
  });
}

t.test('given the source journal, when a plain line comes, then it is not taken', async (t) => {
  t.equal(readLogLine(`Jan  5 10:00:01 web1 sshd[4242]: ${message}`, 'journal'), null);
});
