import t from 'tap';
import type { Manifest } from '../../protocol/manifest-form.ts';
import { type Compared, compareBundles, compareVersions, type VersionChange } from '../../supervisor/bundle-difference.ts';
import { type RiskLevel, stateRisk } from '../../supervisor/upgrade-risk.ts';

const base: Manifest = {
  form: 'v3',
  wire: 'json-rpc',
  entrypoints: null,
  unsigned: false,
  id: 'example.hello',
  name: 'Hello',
  version: '1.0.0',
  publisher: 'dev.local',
  type: 'system',
  engine: 'node',
  capabilities: ['kv:read', 'log:write'],
  routes: [{ path: '/a/*', methods: ['GET'] }],
  kv: { read_buckets: ['default'] },
  services: [{ name: 'greeter', methods: [{ name: 'greet', effect: 'write', scopes: ['node:read', 'kv:admin'], timeout_ms: 5000 }] }],
  digest_sha256: 'a'.repeat(64),
};
const greet = (more: object) =>
  ({ services: [{ name: 'greeter', methods: [{ ...base.services?.[0]?.methods[0], ...more }] }] }) as Partial<Manifest>;
const of = (manifest: Partial<Manifest>, egress: string[] = ['api.example.com:443']): Compared => ({
  manifest: { ...base, ...manifest },
  egress,
});
const from = of({});

type Case = { what: string; to: Compared; differences: object; level: RiskLevel; reason: RegExp };
const newer = { version: '1.1.0' };
const cases: Case[] = [
  {
    what: 'nothing but a newer version',
    to: of(newer),
    differences: { version: { change: 'upgrade' } },
    level: 'low',
    reason: /asks for nothing/,
  },
  {
    what: 'an older version',
    to: of({ version: '0.9.0' }),
    differences: { version: { change: 'downgrade' } },
    level: 'medium',
    reason: /is older/,
  },
  {
    what: 'the same version with other bytes',
    to: of({}),
    differences: { version: { change: 'same-version' } },
    level: 'medium',
    reason: /version is 1\.0\.0 as before/,
  },
  {
    what: 'a version that cannot be compared',
    to: of({ version: 'spring' }),
    differences: { version: { change: 'unordered' } },
    level: 'medium',
    reason: /cannot be told/,
  },
  {
    what: 'a capability that reads',
    to: of({ ...newer, capabilities: ['kv:read', 'log:write', 'task:read'] }),
    differences: { capabilities: { added: ['task:read'], removed: [] } },
    level: 'low',
    reason: /newly see queued .*task:read, risk read/,
  },
  {
    what: 'a capability that writes',
    to: of({ ...newer, capabilities: ['kv:read', 'log:write', 'kv:write'] }),
    differences: { capabilities: { added: ['kv:write'] } },
    level: 'medium',
    reason: /risk write/,
  },
  {
    what: 'a capability of the host',
    to: of({ ...newer, capabilities: ['kv:read', 'task:run'] }),
    differences: { capabilities: { added: ['task:run'], removed: ['log:write'] } },
    level: 'high',
    reason: /risk host/,
  },
  {
    what: 'a new host',
    to: of(newer, ['api.example.com:443', 'evil.example:443']),
    differences: { egress: { added: ['evil.example:443'], removed: [] } },
    level: 'high',
    reason: /send what it knows to evil\.example:443/,
  },
  {
    what: 'hosts under a wildcard',
    to: of(newer, ['*.example.com:443']),
    differences: { egress: { added: ['*.example.com:443'], removed: ['api.example.com:443'] } },
    level: 'high',
    reason: /any host under example\.com:443/,
  },
  {
    what: 'a host less',
    to: of(newer, []),
    differences: { egress: { added: [], removed: ['api.example.com:443'] } },
    level: 'low',
    reason: /asks for nothing/,
  },
  {
    what: 'a route more',
    to: of({ ...newer, routes: [{ path: '/a/*', methods: ['GET', 'POST'] }] }),
    differences: { routes: { added: ['POST /a/*'], removed: [] } },
    level: 'medium',
    reason: /web requests for POST \/a\/\*/,
  },
  {
    what: 'a bucket more',
    to: of({ ...newer, kv: { read_buckets: ['default', 'secrets'] } }),
    differences: { read_buckets: { added: ['secrets'] } },
    level: 'medium',
    reason: /bucket secrets/,
  },
  {
    what: 'a method less',
    to: of({ ...newer, services: [] }),
    differences: { services: { removed: ['greeter.greet'] } },
    level: 'medium',
    reason: /find it gone/,
  },
  {
    what: 'a method more',
    to: of({ ...newer, services: [...(base.services ?? []), { name: 'extra', methods: [{ name: 'run', effect: 'read', scopes: [] }] }] }),
    differences: { services: { added: ['extra.run'] } },
    level: 'low',
    reason: /asks for nothing/,
  },
  {
    what: 'a scope less for callers',
    to: of({ ...newer, ...greet({ scopes: ['node:read'] }) }),
    differences: {
      services: { changed: [{ method: 'greeter.greet', changes: [{ field: 'scopes', from: 'kv:admin node:read', to: 'node:read' }] }] },
    },
    level: 'high',
    reason: /no longer asks its callers for kv:admin/,
  },
  {
    what: 'a scope more for callers',
    to: of({ ...newer, ...greet({ scopes: ['node:read', 'kv:admin', 'plugin:logs'] }) }),
    differences: { services: { changed: [{ method: 'greeter.greet' }] } },
    level: 'medium',
    reason: /will need plugin:logs/,
  },
  {
    what: 'a method that becomes an administrator’s',
    to: of({ ...newer, ...greet({ scopes: [] }) }),
    differences: { services: { changed: [{ changes: [{ field: 'scopes', from: 'kv:admin node:read', to: 'plugin:admin' }] }] } },
    level: 'medium',
    reason: /will need plugin:admin/,
  },
  {
    what: 'a method that any caller may call',
    to: of({ ...newer, ...greet({ scopes: ['plugin:call'] }) }),
    differences: { services: { changed: [{ changes: [{ field: 'scopes', from: 'kv:admin node:read', to: 'none' }] }] } },
    level: 'high',
    reason: /no longer asks its callers for kv:admin and node:read/,
  },
  {
    what: 'an effect that rises',
    to: of({ ...newer, ...greet({ effect: 'host' }) }),
    differences: { services: { changed: [{ changes: [{ field: 'effect', from: 'write', to: 'host' }] }] } },
    level: 'high',
    reason: /effect is host instead of write/,
  },
  {
    what: 'an effect that is told smaller',
    to: of({ ...newer, ...greet({ effect: 'read' }) }),
    differences: { services: { changed: [{}] } },
    level: 'medium',
    reason: /more tokens may call it/,
  },
  {
    what: 'a longer time',
    to: of({ ...newer, ...greet({ timeout_ms: 6000 }) }),
    differences: { services: { changed: [{ changes: [{ field: 'timeout_ms', from: '5000', to: '6000' }] }] } },
    level: 'low',
    reason: /asks for nothing/,
  },
  {
    what: 'more memory',
    to: of({ ...newer, resources: { memory_mib: 512 } }),
    differences: { resources: [{ name: 'memory_mib', from: 128, to: 512 }] },
    level: 'low',
    reason: /more memory_mib: 512 instead of 128/,
  },
  {
    what: 'less memory',
    to: of({ ...newer, resources: { memory_mib: 64 } }),
    differences: { resources: [{ name: 'memory_mib', to: 64 }] },
    level: 'low',
    reason: /asks for nothing/,
  },
  {
    what: 'another publisher',
    to: of({ ...newer, publisher: 'acme.tools' }),
    differences: { identity: [{ field: 'publisher', from: 'dev.local', to: 'acme.tools' }] },
    level: 'high',
    reason: /another publisher signs it/,
  },
  {
    what: 'no signature any more',
    to: of({ ...newer, publisher: '', unsigned: true, form: 'v1' }),
    differences: { identity: [{ field: 'publisher', to: '(unsigned)' }, { field: 'form' }] },
    level: 'high',
    reason: /not signed any more/,
  },
  {
    what: 'a native program',
    to: of({ ...newer, engine: 'native' }),
    differences: { identity: [{ field: 'engine', from: 'node', to: 'native' }] },
    level: 'high',
    reason: /native program/,
  },
  {
    what: 'another type',
    to: of({ ...newer, type: 'worker' }),
    differences: { identity: [{ field: 'type' }] },
    level: 'medium',
    reason: /type changes from system to worker/,
  },
];
for (const { what, to, differences, level, reason } of cases)
  t.test(`given ${what}, when it is compared, then that is told, with risk ${level} and why`, async (t) => {
    const found = compareBundles(from, to);
    t.match(found, differences);
    const risk = stateRisk(found);
    t.equal(risk.level, level);
    t.ok(
      risk.reasons.some((text) => reason.test(text)),
      risk.reasons.join('; '),
    );
  });

t.test('given a bundle that is compared with itself, when the differences are told, then there are none', async (t) => {
  const { version, capabilities, egress, routes, read_buckets, services, resources, identity } = compareBundles(from, from);
  t.equal(version.change, 'same-version');
  for (const each of [capabilities, egress, routes, read_buckets, services]) t.match(each, { added: [], removed: [] });
  t.same([services.changed, resources, identity], [[], [], []]);
});

t.test('given many reasons, when the risk is told, then the gravest come first', async (t) => {
  const { level, reasons } = stateRisk(compareBundles(from, of({ version: '0.9.0', capabilities: ['task:run', 'task:read'] })));
  t.equal(level, 'high');
  t.match(reasons, [/task:run/, /older/, /task:read/]);
});

const versions: [string, string, VersionChange][] = [
  ['1.0.0', '1.0.1', 'upgrade'],
  ['1.10.0', '1.9.0', 'downgrade'],
  ['1.0.0-beta.1', '1.0.0', 'upgrade'],
  ['1.0.0-beta.10', '1.0.0-beta.9', 'downgrade'],
  ['1.0.0', '1.0.0', 'same-version'],
  ['2024-01', '2024-02', 'unordered'],
  ['2024-01', '2024-01', 'same-version'],
  ['', '1.0.0', 'unordered'],
];
for (const [before, after, change] of versions)
  t.test(`given version "${before}" and then "${after}", when they are compared, then ${change}`, async (t) =>
    t.equal(compareVersions(before, after), change),
  );
