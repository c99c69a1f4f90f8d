import t from 'tap';
import { parseManifest } from '../../../protocol/manifest.ts';
import { setMember } from '../../../supervisor/dev/learn/json-members.ts';
import { proposeManifest, proposeResources } from '../../../supervisor/dev/learn/propose-manifest.ts';
import { unifiedDiff } from '../../../supervisor/dev/learn/unified-diff.ts';

const text = `{
  "schema": "lattice.plugin.manifest.v3", "id": "example.test",
  "name": "A \\"quoted\\" }name", "version": "1.0.0", "publisher": "dev.local",
  "type": "system",   "engine": "node",
  "capabilities": ["audit:read", "kv:read",
    "log:write"],
  "egress": [], "resources": { "cpu_percent": 20, "memory_mib": 512 }
}
`;
const read = (source: string) => {
  const more = { digest_sha256: '0'.repeat(64), signature_ed25519: `${'A'.repeat(86)}==` };
  const parsed = parseManifest(Buffer.from(JSON.stringify({ ...JSON.parse(source), ...more })));
  if (!parsed.ok) throw new Error(parsed.fault.detail);
  return parsed.manifest;
};
const nothing = { memory_mib: null, threads: null, tmp_mib: null, cpu_percent: null };

t.test('given what was used, when a manifest is proposed, then it has that and no more, and the rest is as it was written', async (t) => {
  const used = {
    capabilities: new Set(['kv:read', 'http:egress'] as const),
    egress: ['b.example.com:443', 'a.example.com:443'],
    readBuckets: [],
  };
  const proposed = proposeManifest(text, read(text), used, nothing);

  t.equal(
    proposed,
    text
      .replace('["audit:read", "kv:read",\n    "log:write"]', '["kv:read", "http:egress"]')
      .replace('"egress": []', '"egress": ["a.example.com:443", "b.example.com:443"]'),
  );
  t.ok(read(proposed));
  t.equal(proposeManifest(proposed, read(proposed), used, nothing), proposed, 'a second time there is nothing to change');
});

t.test('given a peak, when resources are proposed, then there is head-room, bounds hold, and what is unknown stays', async (t) => {
  const proposed = proposeResources({ memory_mib: 49, threads: 4, tmp_mib: 0, cpu_percent: 300 }, { cpu_percent: 20, pids: 64 });
  t.same(proposed, { cpu_percent: 400, pids: 16 });
  t.same(proposeResources(nothing, { memory_mib: 256 }), { memory_mib: 256 });
});

t.test(
  'given a peak within the defaults, when resources are proposed, then none are stated, so that a waiting child can be taken',
  async (t) => {
    const small = { memory_mib: 49, threads: 4, tmp_mib: 0, cpu_percent: 40 };
    t.same(proposeResources(small, undefined), {});
    t.same(proposeResources({ ...small, memory_mib: 200 }, undefined), { memory_mib: 304 });
    const plain = text.replace(/, "resources": \{.*\}/, '');
    t.notMatch(proposeManifest(plain, read(plain), { capabilities: new Set(), egress: [], readBuckets: [] }, small), 'resources');
  },
);

const edits: [string, string, string, unknown, string][] = [
  ['the first member taken out', '{ "a": 1, "b": 2 }', 'a', undefined, '{ "b": 2 }'],
  ['the last taken out', '{"a":1,"b":{"c":[2]}}', 'b', undefined, '{"a":1}'],
  ['the only one taken out', '{"a":1}', 'a', undefined, '{}'],
  ['one that is not there taken out', '{"a":1}', 'b', undefined, '{"a":1}'],
  ['a number set', '{"a": 12, "b": 2}', 'a', 'x', '{"a": "x", "b": 2}'],
  ['one added behind another', '{\n\t"a": "}",\n\t"b": 2\n}', 'c', [1], '{\n\t"a": "}",\n\t"c": [1],\n\t"b": 2\n}'],
];
for (const [what, before, name, value, after] of edits) {
  t.test(`given ${before}, when it has ${what}, then the text is ${after}`, async (t) => {
    t.equal(setMember(before, name, value, 'a'), after);
  });
}

t.test('given two texts, when they differ in two far places, then the diff has two hunks with their lines', async (t) => {
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at + 1}`);
  const after = lines.with(1, 'changed').toSpliced(18, 1);
  t.equal(
    unifiedDiff('f', `${lines.join('\n')}\n`, `${after.join('\n')}\n`),
    [
      '--- a/f',
      '+++ b/f',
      '@@ -1,5 +1,5 @@',
      ' line 1',
      '-line 2',
      '+changed',
      ' line 3',
      ' line 4',
      ' line 5',
      '@@ -16,5 +16,4 @@',
      ' line 16',
      ' line 17',
      ' line 18',
      '-line 19',
      ' line 20',
      '',
    ].join('\n'),
  );
  t.equal(unifiedDiff('f', 'a\n', 'a\n'), '');
});
