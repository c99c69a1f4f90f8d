import fc from 'fast-check';
import t from 'tap';
import { egressPattern } from '../../../protocol/manifest.ts';
import {
  canonicalAddress,
  egressLine,
  isListed,
  parseEgressAllow,
  parseEgressEntry,
  parseExemption,
} from '../../../supervisor/host/egress-rules.ts';

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const name = fc.array(label, { minLength: 2, maxLength: 5 }).map((labels) => labels.join('.'));
const port = fc.integer({ min: 1, max: 65_535 });

const accepted: [string, string, number][] = [
  ['api.example.com:443', 'api.example.com', 443],
  ['xn--bcher-kva.example:8443', 'xn--bcher-kva.example', 8443],
  ['*.example.com:443', 'a.example.com', 443],
  ['*.example.com:443', 'a.b.c.example.com', 443],
  ['8.8.8.8:53', '8.8.8.8', 53],
  ['[2606:4700::1111]:443', '[2606:4700::1111]', 443],
  ['[2606:4700:0:0:0:0:0:1111]:443', '[2606:4700::1111]', 443],
  ['1.example:80', '1.example', 80],
];
for (const [entry, host, at] of accepted) {
  t.test(`given the entry ${entry}, when ${host}:${at} is asked for, then it is listed`, async (t) => t.ok(isListed([entry], host, at)));
}

const refused: [string, string, number][] = [
  ['api.example.com:443', 'api.example.com', 80],
  ['api.example.com:443', 'API.example.com', 443],
  ['api.example.com:443', 'api.example.com.', 443],
  ['api.example.com:443', 'x.api.example.com', 443],
  ['api.example.com:443', 'example.com', 443],
  ['api.example.com:443', 'api.example.com.evil.test', 443],
  ['*.example.com:443', 'example.com', 443],
  ['*.example.com:443', '.example.com', 443],
  ['*.example.com:443', '*.example.com', 443],
  ['*.example.com:443', 'badexample.com', 443],
  ['*.example.com:443', 'a..example.com', 443],
  ['*.example.com:443', 'a_b.example.com', 443],
  ['*.0.0.1:80', '127.0.0.1', 80],
  ['[::1]:80', '[::2]', 80],
  ['[::ffff:7f00:1]:80', '127.0.0.1', 80],
  ['8.8.8.8:53', '8.8.8.08', 53],
];
for (const [entry, host, at] of refused) {
  t.test(`given the entry ${entry}, when ${host}:${at} is asked for, then it is not listed`, async (t) =>
    t.notOk(isListed([entry], host, at)),
  );
}

const malformed = [
  '',
  ':',
  ':443',
  'a.example',
  'a.example:',
  'a.example:0',
  'a.example:00443',
  'a.example:65536',
  'A.example:443',
  'localhost:80',
  '*:443',
  '*.com:443',
  'a.*.example:443',
  '**.a.example:443',
  '*.*.example:443',
  'a.example.:443',
  '-a.example:443',
  'a-.example:443',
  '256.1.1.1:80',
  '127.1:80',
  '0x7f.0.0.1:80',
  '01.2.3.4:80',
  'a.example.0x7f:80',
  '::1:80',
  '[::1%eth0]:80',
  '[::1]',
  '[1.2.3.4]:80',
  'user@a.example:443',
  'https://a.example:443',
  'a.example:443 ',
  'bücher.example:443',
  `${'a'.repeat(64)}.example:1`,
];
for (const entry of malformed) {
  t.test(`given the malformed entry ${JSON.stringify(entry)}, when it is parsed, then it is refused`, async (t) =>
    t.equal(parseEgressEntry(entry), null),
  );
}

t.test('given any name and port, when its own line is listed, then it and only it is listed', async (t) => {
  fc.assert(
    fc.property(name, name, port, (host, other, at) => {
      const line = egressLine(host, at);
      const entry = line === null ? '' : String(JSON.parse(line));
      return egressPattern.test(entry) && isListed([entry], host, at) && isListed([entry], other, at) === (host === other);
    }),
  );
  t.pass();
});

t.test(
  'given any name below another, when a wildcard is listed, then it holds for one or more labels and never for the name itself',
  async (t) => {
    fc.assert(
      fc.property(name, fc.array(label, { minLength: 1, maxLength: 3 }), port, (base, labels, at) => {
        const entry = `*.${base}:${at}`;
        return (
          isListed([entry], `${labels.join('.')}.${base}`, at) &&
          !isListed([entry], base, at) &&
          !isListed([entry], `${labels.join('')}${base}`, at)
        );
      }),
    );
    t.pass();
  },
);

t.test('given any text, when it is parsed as an entry, then nothing is thrown, and what the manifest refuses is refused', async (t) => {
  const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'a1.:*[]-%0x/@') }));
  fc.assert(fc.property(text, (entry) => parseEgressEntry(entry) === null || egressPattern.test(entry)));
  t.pass();
});

t.test('given spellings of one IPv6 address, when they are made canonical, then they are one', async (t) => {
  t.equal(canonicalAddress('[::1]'), canonicalAddress('[0:0:0:0:0:0:0:1]'));
  t.equal(canonicalAddress('[::ffff:127.0.0.1]'), canonicalAddress('[::ffff:7f00:1]'));
  t.equal(canonicalAddress('example.com'), null);
});

t.test('given a list of open networks, when it is parsed, then each stands under its plugin', async (t) => {
  const { allow, faults } = parseEgressAllow(' example.a=10.0.0.0/8:443, example.b=[fd00::/8]:80,example.a=127.0.0.1,example.c=fd12::1, ');

  t.same(faults, []);
  t.same(
    [...allow].map(([id, rows]) => [id, rows.map((row) => `${row.network.toString()}/${row.bits} ${row.port}`)]),
    [
      ['example.a', ['10.0.0.0/8 443', '127.0.0.1/32 null']],
      ['example.b', ['fd00::/8 80']],
      ['example.c', ['fd12::1/128 null']],
    ],
  );
});

t.test('given several bad entries, when the list is parsed, then every one is named with its fault', async (t) => {
  const bad = [
    'nonsense',
    '=10.0.0.0/8',
    'x=10.0.0.0/8',
    'example.a=10.0.0.1/8',
    'example.a=10.0.0.0/33',
    'example.a=10.0.0.0/8:0',
    'example.a=10.0.0.0/8:x',
    'example.a=localhost',
    'example.a=010.0.0.1',
    'example.a=10.1',
    'example.a=[fd00::]/8:443',
    'example.a=fe80::1%eth0',
    'example.a=::ffff:10.0.0.1',
    'example.a=',
  ];

  const { faults } = parseEgressAllow(bad.join(','));

  t.equal(faults.length, bad.length);
  t.same(
    faults.map((fault) => fault.slice(1, fault.indexOf('":'))),
    bad,
  );
});

t.test('given any text, when it is parsed as a network, then it is a network or a fault, and nothing is thrown', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'0123456789af.:/[]%x') }),
      (text) => typeof parseExemption(text) === 'string' || !text.includes('%'),
    ),
  );
  t.pass();
});
