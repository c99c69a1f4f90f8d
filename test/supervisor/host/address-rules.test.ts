import fc from 'fast-check';
import t from 'tap';
import { decideAddress } from '../../../supervisor/host/address-rules.ts';
import { type Exemption, parseExemption } from '../../../supervisor/host/egress-rules.ts';

function open(...networks: string[]): Exemption[] {
  return networks.map((network) => {
    const parsed = parseExemption(network);
    if (typeof parsed === 'string') throw new Error(parsed);
    return parsed;
  });
}
const ruleOf = (address: string, exemptions: Exemption[] = [], port = 443): string => {
  const verdict = decideAddress(address, port, { exemptions });
  return verdict.ok ? 'ok' : verdict.rule;
};
const everything = open('0.0.0.0/0', '::/0');

const allowed = [
  '1.1.1.1',
  '8.8.8.8',
  '93.184.216.34',
  '100.63.255.255',
  '100.128.0.1',
  '172.15.0.1',
  '172.32.0.1',
  '192.167.1.1',
  '198.17.255.255',
  '198.20.0.1',
  '223.255.255.255',
  '168.63.129.15',
  '2606:4700:4700::1111',
  '2a00:1450:4001:80b::200e',
  '2400:cb00::1',
  '::ffff:8.8.8.8',
  '::ffff:808:808',
];
for (const address of allowed) {
  t.test(`given the public address ${address}, when it is decided, then it is allowed`, async (t) => t.equal(ruleOf(address), 'ok'));
}

const notPublic = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.0.171',
  '192.0.2.1',
  '192.31.196.1',
  '192.52.193.1',
  '192.88.99.1',
  '192.168.1.1',
  '192.175.48.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::2',
  '::7f00:1',
  '::127.0.0.1',
  '::8.8.8.8',
  '::ffff:127.0.0.1',
  '::ffff:a00:1',
  '::ffff:0:8.8.8.8',
  '::ffff:0:127.0.0.1',
  '64:ff9b::8.8.8.8',
  '64:ff9b::10.0.0.1',
  '64:ff9b:1::8.8.8.8',
  '100::1',
  '2001::1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  '2001:2::1',
  '2001:3::1',
  '2001:4:112::1',
  '2001:10::1',
  '2001:20::1',
  '2001:30::1',
  '2001:1ff::1',
  '2001:db8::1',
  '2002:808:808::1',
  '2002:7f00:1::',
  '2620:4f:8000::1',
  '3fff::1',
  '4000::1',
  '5f00::1',
  '200::1',
  '8000::1',
  'fc00::1',
  'fd12:3456::1',
  'fec0::1',
  'ff02::1',
  'ff0e::1',
  '2606:4700::5efe:8.8.8.8',
  '2606:4700::200:5efe:10.0.0.1',
];
for (const address of notPublic) {
  t.test(`given the address ${address}, when it is decided, then it is refused as not public`, async (t) =>
    t.equal(ruleOf(address), 'address-not-public'),
  );
}

const metadata = [
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '169.254.42.42',
  '169.254.0.23',
  '169.254.1.1',
  '168.63.129.16',
  '100.100.100.200',
  '100.96.0.96',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
  'fd00:c1::a9fe:a9fe',
  'fd00:42::42',
  'fd00:a9fe:a9fe::1',
  'fd00:100::100:200',
  'fe80::a9fe:a9fe',
  '::ffff:169.254.169.254',
  '::169.254.169.254',
  '::ffff:0:169.254.169.254',
  '64:ff9b::169.254.169.254',
  '64:ff9b:1::a83f:8110',
  '2002:a9fe:a9fe::1',
  '2001:0:1:1:1:1:5601:5601',
  'fd12::5efe:169.254.169.254',
  '::ffff:168.63.129.16',
];
for (const address of metadata) {
  t.test(`given the metadata address ${address}, when everything is open, then it is refused all the same`, async (t) => {
    t.equal(ruleOf(address), 'address-metadata');
    t.equal(ruleOf(address, everything), 'address-metadata');
  });
}

const invalid = [
  '',
  'example.com',
  '127.1',
  '0127.0.0.1',
  '0x7f.0.0.1',
  '2130706433',
  '1.2.3.4.5',
  '1.2.3.256',
  'fe80::1%eth0',
  '2606:4700::1%1',
  '[::1]',
  '::1::2',
  '1.2.3.4 ',
];
for (const address of invalid) {
  t.test(`given ${JSON.stringify(address)}, when it is decided, then it is refused as no address`, async (t) =>
    t.equal(ruleOf(address, everything), 'address-invalid'),
  );
}

for (const address of ['0.0.0.0', '0.1.2.3', '::', '255.255.255.255', '224.0.0.1', 'ff02::1', '::ffff:0.0.0.0']) {
  t.test(`given ${address}, when everything is open, then it is still refused`, async (t) =>
    t.equal(ruleOf(address, everything), 'address-not-public'),
  );
}

t.test('given an open network, when an address is in it, on its port, then it is allowed, and no other', async (t) => {
  const exemptions = open('10.1.0.0/16:8443', 'fd12::/16');

  t.equal(ruleOf('10.1.2.3', exemptions, 8443), 'ok');
  t.equal(ruleOf('::ffff:10.1.2.3', exemptions, 8443), 'ok');
  t.equal(ruleOf('10.1.2.3', exemptions, 443), 'address-not-public');
  t.equal(ruleOf('10.2.0.1', exemptions, 8443), 'address-not-public');
  t.equal(ruleOf('fd12::1', exemptions, 1), 'ok');
  t.equal(ruleOf('fd13::1', exemptions, 1), 'address-not-public');
});

t.test('given an open NAT64 network, when the address behind it is private, then it is refused, and a public one is allowed', async (t) => {
  const exemptions = open('64:ff9b::/96');

  t.equal(ruleOf('64:ff9b::8.8.8.8', exemptions), 'ok');
  t.equal(ruleOf('64:ff9b::10.0.0.1', exemptions), 'address-not-public');
  t.equal(ruleOf('64:ff9b::169.254.169.254', exemptions), 'address-metadata');
});

t.test('given a public address of this machine, when it is decided, then it is refused unless it is opened', async (t) => {
  const own = new Set(['198.20.7.7']);

  t.match(decideAddress('198.20.7.7', 443, { exemptions: [], own }), { ok: false, rule: 'address-own' });
  t.match(decideAddress('::ffff:198.20.7.7', 443, { exemptions: [], own }), { ok: false, rule: 'address-own' });
  t.same(decideAddress('198.20.7.7', 443, { exemptions: open('198.20.7.7:443'), own }), { ok: true });
});

t.test('given any IPv4 address, when it is wrapped in IPv6, then no wrapping makes a refused one allowed', async (t) => {
  const wrap = [
    (v4: string) => `::ffff:${v4}`,
    (v4: string) => `::${v4}`,
    (v4: string) => `64:ff9b::${v4}`,
    (v4: string) => `2606:4700::5efe:${v4}`,
  ];
  fc.assert(
    fc.property(fc.ipV4(), fc.constantFrom(...wrap), (address, wrapped) => ruleOf(address) === 'ok' || ruleOf(wrapped(address)) !== 'ok'),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('given any IPv6 address, when it is decided, then it is allowed only within 2000::/3 or as a mapped one', async (t) => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => ruleOf(address) !== 'ok' || /^[23][0-9a-f]{3}:/i.test(address) || /ffff:/i.test(address)),
    { numRuns: 500 },
  );
  t.pass();
});
