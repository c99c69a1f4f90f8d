import fc from 'fast-check';
import t from 'tap';
import { parseAddress, parseOrigin } from '../../../plugins/lattice.ssh-login-alert/address.ts';

const good: [string, string, string][] = [
  ['203.0.113.9', '203.0.113.9', '203.0.113.9'],
  ['0.0.0.0', '0.0.0.0', '0.0.0.0'],
  ['2001:db8::1', '2001:db8::1', '2001:db8::/64'],
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1', '2001:db8::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3', '1:0:0:2::/64'],
  ['::1', '::1', '::/64'],
  ['::', '::', '::/64'],
  ['1::', '1::', '1::/64'],
  ['::ffff:203.0.113.9', '203.0.113.9', '203.0.113.9'],
  ['::FFFF:cb00:7109', '203.0.113.9', '203.0.113.9'],
  ['64:ff9b::203.0.113.9', '64:ff9b::cb00:7109', '64:ff9b::/64'],
  ['fe80::1%eth0', 'fe80::1%eth0', 'fe80::/64%eth0'],
  ['fe80::a:b%wlp3s0.100', 'fe80::a:b%wlp3s0.100', 'fe80::/64%wlp3s0.100'],
];
for (const [text, address, source] of good) {
  t.test(`given the address ${text}, when it is read, then it is written in one form and its source is ${source}`, async (t) => {
    t.same(parseAddress(text), { address, source });
  });
}

for (const text of [
  '',
  ':',
  ':::',
  '1',
  '1.2.3',
  '1.2.3.4.5',
  '256.1.1.1',
  '1.2.3.4 ',
  'host.example',
  '1:2:3',
  '1:2:3:4:5:6:7:8:9',
  '1::2::3',
  'g::1',
  '12345::',
  '::1.2.3.256',
  '::ffff:1.2.3',
  '1.2.3.4%eth0',
  'fe80::1%',
  '1:2:3:4:5:6:7::8:9',
]) {
  t.test(`given ${JSON.stringify(text)}, when it is read as an address, then it is none`, async (t) => {
    t.equal(parseAddress(text), null);
  });
}

t.test('given ports, when an origin is read, then only real ones are taken', async (t) => {
  t.same(parseOrigin('192.0.2.1', '65535'), { address: '192.0.2.1', source: '192.0.2.1', port: 65535 });
  t.same(parseOrigin('192.0.2.1', undefined), { address: '192.0.2.1', source: '192.0.2.1', port: null });
  t.same(parseOrigin('UNKNOWN', '65535'), { address: 'unknown', source: 'unknown', port: 65535 });
  t.equal(parseOrigin('192.0.2.1', '65536'), null);
});

t.test('given any IPv6 address, when it is read and its written form is read again, then both are the same', async () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const once = parseAddress(text);
      return once !== null && parseAddress(once.address)?.address === once.address;
    }),
  );
});
