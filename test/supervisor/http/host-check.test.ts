import t from 'tap';
import { createHostCheck, isLoopback } from '../../../supervisor/http/host-check.ts';

type Case = [string, { host: string; port: number; names?: string[] }, number, string[], (string | undefined)[]];
const cases: Case[] = [
  [
    'a loopback listener',
    { host: '127.0.0.1', port: 8088 },
    8088,
    ['127.0.0.1:8088', 'localhost:8088', '[::1]:8088'],
    ['127.0.0.1', 'example.org:8088', '127.0.0.1:80', undefined, '', 'localhost:8088@evil', '[::1', '0x7f.1:8088'],
  ],
  [
    'the name localhost',
    { host: 'localhost', port: 0 },
    4711,
    ['127.0.0.1:4711', 'LOCALHOST:4711'],
    ['localhost:0', 'localhost.evil:4711'],
  ],
  ['one address', { host: '192.0.2.7', port: 8088 }, 8088, ['192.0.2.7:8088'], ['127.0.0.1:8088', 'localhost:8088', '192.0.2.8:8088']],
  [
    'every address',
    { host: '0.0.0.0', port: 8088 },
    8088,
    ['192.0.2.7:9000', 'localhost:9000', '[2001:db8::1]:80', '127.0.0.1'],
    ['evil.example:8088', 'evil.example'],
  ],
  ['every address of IPv6', { host: '::', port: 8088 }, 8088, ['[2001:db8::1]:8088', '192.0.2.7:1'], ['evil.example:8088']],
  [
    'a further name',
    { host: '127.0.0.1', port: 8088, names: ['lattice.example.org'] },
    8088,
    ['lattice.example.org', 'Lattice.example.org:443', '127.0.0.1:8088'],
    ['other.example.org'],
  ],
];
for (const [what, listen, port, good, bad] of cases) {
  t.test(`given ${what}, when a Host header comes, then only its own names pass`, async (t) => {
    const check = createHostCheck(listen);
    for (const header of good) t.doesNotThrow(() => check(header, port), header);
    for (const header of bad) t.throws(() => check(header, port), { code: 'forbidden' }, String(header));
    for (const header of good) t.doesNotThrow(() => check(header, port), `${header} again`);
  });
}

t.test('given names and addresses, when asked whether they are loopback, then only those that cannot be elsewhere', async (t) => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost', '::ffff:127.0.0.1']) t.ok(isLoopback(host), host);
  for (const host of ['128.0.0.1', '0.0.0.0', '::', 'localhost.example', 'example.org', '10.0.0.1', '']) t.notOk(isLoopback(host), host);
});
