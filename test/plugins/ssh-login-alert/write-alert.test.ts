import fc from 'fast-check';
import t from 'tap';
import { sanitise, writeBurstAlert, writeLoginAlert } from '../../../plugins/lattice.ssh-login-alert/write-alert.ts';
import { hostMethods } from '../../../protocol/host-methods.ts';

const origin = { address: '203.0.113.9', source: '203.0.113.9', port: 5 };
const login = { user: 'ada', method: 'publickey', key: 'ED25519 SHA256:abc', origin, time: 'Jan  5 10:00:01' };

t.test('given a login, when its alert is written, then it says who, from where, how, when, and by which reference', async (t) => {
  const { title, text } = writeLoginAlert(login, true, 'ssh-7');
  t.equal(title, 'SSH login: ada from 203.0.113.9 (new source)');
  t.equal(
    text,
    [
      'User ada logged in with publickey (ED25519 SHA256:abc) from 203.0.113.9 port 5 at Jan  5 10:00:01.',
      'This is the first login of this user on record.',
      'Reference ssh-7. A message with the same reference is the same event, sent again.',
    ].join('\n'),
  );
});

t.test('given text that turns, hides or breaks, when it is sanitised, then it is written out', async (t) => {
  t.equal(sanitise('a\u202eb\u200bc\nd\u001b[31me\u2028f\ud800g', 200), 'a\\u{202e}b\\u{200b}c\\u{a}d\\u{1b}[31me\\u{2028}f\\u{d800}g');
  t.equal(sanitise('plain text, Grüße, 漢字', 200), 'plain text, Grüße, 漢字');
  t.equal(sanitise('abcdef', 4), 'abc…');
  t.equal(sanitise('ab😀cd', 4), 'ab…', 'no half of a character');
});

t.test('given any name, method, key and time, when an alert is written, then the host takes it, and each line is one line', async () => {
  const any = fc.string({ unit: 'binary', maxLength: 2000 });
  fc.assert(
    fc.property(any, any, any, (user, key, time) => {
      for (const { title, text } of [
        writeLoginAlert({ ...login, user, key, time }, false, 'ssh-1'),
        writeBurstAlert({ user }, 10, 10, time, 'ssh-2'),
        writeBurstAlert({ source: user }, 10, 10, time, 'ssh-3'),
      ]) {
        if (!hostMethods['notify.send'].params.safeParse({ channel: 'ops', title, text, severity: 'warning' }).success) return false;
        if (
          /[\p{Cf}\p{Zl}\p{Zp}]/u.test(title + text) ||
          /[^\n]*\p{Cc}/u.test(`${title}${text.replaceAll('\n', '')}`) ||
          text.split('\n').length !== 3
        )
          return false;
      }
      return true;
    }),
  );
});
