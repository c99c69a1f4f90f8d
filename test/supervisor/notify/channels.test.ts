import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadChannels, parseChannels } from '../../../supervisor/notify/channels.ts';
import { testFolder } from '../../support/test-folder.ts';

const uid = process.getuid?.() ?? 0;
const webhook = { type: 'webhook', url: 'https://hooks.example.com/a', plugins: ['example.a'] };
const email = { type: 'email', host: 'mail.example.com', port: 587, from: 'a@example.com', to: ['b@example.com'], plugins: ['example.a'] };
const parse = (channels: unknown) => parseChannels(Buffer.from(JSON.stringify({ channels })));

t.test('given one channel of each kind, when they are parsed, then each has its defaults', async (t) => {
  const channels = parse({
    hook: { ...webhook, headers: { 'X-Key': 's' }, allow_private: ['10.0.0.0/8:443'] },
    book: { type: 'log', plugins: [] },
    mail: email,
  });

  t.match(channels.get('hook'), { type: 'webhook', headers: { 'x-key': 's' }, allow_private: [{ bits: 8, port: 443 }] });
  t.match(channels.get('book'), { type: 'log', plugins: [] });
  t.match(channels.get('mail'), { type: 'email', secure: false, requireTls: true });
});

const tlsRules: [Record<string, unknown>, boolean][] = [
  [{}, true],
  [{ secure: true }, false],
  [{ allow_plaintext: true }, false],
  [{ host: 'localhost' }, false],
  [{ host: '127.0.0.1' }, false],
  [{ host: 'localhost', user: 'u', password: 'p' }, true],
  [{ user: 'u', password: 'p' }, true],
];
for (const [given, requireTls] of tlsRules) {
  t.test(
    `given a mail channel with ${JSON.stringify(given)}, when it is parsed, then STARTTLS is ${requireTls ? '' : 'not '}required`,
    async (t) => {
      t.match(parse({ mail: { ...email, ...given } }).get('mail'), { requireTls });
    },
  );
}

const faults: [string, unknown, string][] = [
  ['no channels', undefined, '/channels'],
  ['an unknown type', { a: { type: 'pager', plugins: [] } }, '/channels/a/type'],
  ['an unknown field', { a: { ...webhook, secret: 'hunter2' } }, '/channels/a/secret'],
  ['a bad name', { 'A/b': webhook }, '/channels/A~1b'],
  ['a bad plugin', { a: { ...webhook, plugins: ['hunter2!'] } }, '/channels/a/plugins/0'],
  ['no plugins', { a: { type: 'log' } }, '/channels/a/plugins'],
  ['http to the public', { a: { ...webhook, url: 'http://hunter2.example.com/' } }, '/channels/a/url'],
  ['a URL with a password', { a: { ...webhook, url: 'https://u:hunter2@example.com/' } }, '/channels/a/url'],
  ['no URL', { a: { ...webhook, url: 'hunter2' } }, '/channels/a/url'],
  ['another scheme', { a: { ...webhook, url: 'file:///hunter2' } }, '/channels/a/url'],
  ['a header that is ours', { a: { ...webhook, headers: { Host: 'hunter2' } } }, '/channels/a/headers'],
  ['the idempotency key', { a: { ...webhook, headers: { 'Idempotency-Key': 'hunter2' } } }, '/channels/a/headers'],
  ['a line break in a header', { a: { ...webhook, headers: { 'x-a': 'hunter2\r\nx: y' } } }, '/channels/a/headers'],
  ['a bad network', { a: { ...webhook, allow_private: ['hunter2'] } }, '/channels/a/allow_private/0'],
  ['a bad mail host', { a: { ...email, host: 'http://hunter2' } }, '/channels/a/host'],
  ['a bad port', { a: { ...email, port: 0 } }, '/channels/a/port'],
  ['a bad sender', { a: { ...email, from: 'hunter2' } }, '/channels/a/from'],
  ['a recipient with a line break', { a: { ...email, to: ['hunter2@example.com\r\nRCPT TO:<x@y>'] } }, '/channels/a/to/0'],
  ['two recipients in one', { a: { ...email, to: ['a@example.com,hunter2@example.com'] } }, '/channels/a/to/0'],
  ['a user without a password', { a: { ...email, user: 'hunter2' } }, '/channels/a/password'],
  ['a password in the clear', { a: { ...email, user: 'u', password: 'hunter2', allow_plaintext: true } }, '/channels/a/allow_plaintext'],
];
for (const [what, channels, pointer] of faults) {
  t.test(`given ${what}, when the file is parsed, then the fault names ${pointer} and no value`, async (t) => {
    t.throws(() => parse(channels), { code: 'invalid-params' });
    try {
      parse(channels);
    } catch (error) {
      t.ok(String(error).includes(`${pointer}: `), String(error));
      t.notMatch(String(error), /hunter2/);
    }
  });
}

t.test('given several faults, when the file is parsed, then all are in one message', async (t) => {
  t.throws(() => parse({ a: { ...webhook, url: 'x' }, b: { ...email, port: 'x', to: [] } }), {
    message: /\/channels\/a\/url: .*\/channels\/b\/port: .*\/channels\/b\/to: /,
  });
});

for (const [what, text] of [
  ['a key twice', '{"channels":{},"channels":{}}'],
  ['no JSON', '{"channels": hunter2'],
  ['a list', '[]'],
  ['__proto__', '{"channels":{"__proto__":{"type":"log","plugins":[]}}}'],
] as const) {
  t.test(`given ${what}, when the file is parsed, then it is refused`, async (t) => {
    t.throws(() => parseChannels(Buffer.from(text)), { code: 'invalid-params' });
  });
}

t.test('given a private file, when it is loaded, then its channels are known', async (t) => {
  const file = join(testFolder(t), 'channels.json');
  writeFileSync(file, JSON.stringify({ channels: { ops: webhook } }), { mode: 0o600 });

  t.same([...(await loadChannels({ file, uid })).keys()], ['ops']);
  chmodSync(file, 0o400);
  t.same([...(await loadChannels({ file, uid })).keys()], ['ops']);
});

t.test('given a file that is not ours alone, when it is loaded, then it is refused before it is read', async (t) => {
  const folder = testFolder(t);
  const file = join(folder, 'channels.json');
  writeFileSync(file, JSON.stringify({ channels: {} }), { mode: 0o600 });
  for (const mode of [0o644, 0o640, 0o604, 0o620, 0o602, 0o660, 0o601]) {
    chmodSync(file, mode);
    await t.rejects(loadChannels({ file, uid }), { code: 'invalid-params', message: /0600/ });
  }
  chmodSync(file, 0o600);
  await t.rejects(loadChannels({ file, uid: uid + 1 }), { code: 'invalid-params', message: /belongs to uid/ });
});

t.test('given a link, a folder, a pipe, nothing, or a file too large, when it is loaded, then it is refused', async (t) => {
  const folder = testFolder(t);
  const at = (name: string) => join(folder, name);
  writeFileSync(at('real'), JSON.stringify({ channels: {} }), { mode: 0o600 });
  symlinkSync(at('real'), at('link'));
  mkdirSync(at('folder'), { mode: 0o700 });
  execFileSync('mkfifo', ['-m', '600', at('pipe')]);
  writeFileSync(at('large'), `{"channels":{}}${' '.repeat(256 * 1024)}`, { mode: 0o600 });

  await t.rejects(loadChannels({ file: at('link'), uid }), { message: /symbolic link/ });
  await t.rejects(loadChannels({ file: at('folder'), uid }), { message: /regular file/ });
  await t.rejects(loadChannels({ file: at('pipe'), uid }), { message: /regular file/ });
  await t.rejects(loadChannels({ file: at('missing'), uid }), { message: /ENOENT/ });
  await t.rejects(loadChannels({ file: at('large'), uid }), { message: /over 262144 bytes/ });
});
