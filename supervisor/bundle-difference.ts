import compare from 'semver/functions/compare.js';
import valid from 'semver/functions/valid.js';
import type { Capability } from '../protocol/capabilities.ts';
import { defaultResources, type Resources } from '../protocol/manifest.ts';
import type { Manifest, ServiceMethod } from '../protocol/manifest-form.ts';
import { describeSchema } from './describe-schema.ts';

export type AddedRemoved<Name extends string = string> = { added: Name[]; removed: Name[] };
/** `unordered`: at least one of the two is no version that could be compared. */
export type VersionChange = 'upgrade' | 'downgrade' | 'same-version' | 'unordered';
export type FieldChange = { field: string; from: string; to: string };
export type MethodChange = { method: string; changes: FieldChange[] };
export type ResourceChange = { name: keyof Resources; from: number; to: number };

/** What another bundle of the same id would change. */
export type Differences = {
  version: { from: string; to: string; change: VersionChange };
  capabilities: AddedRemoved<Capability>;
  egress: AddedRemoved;
  routes: AddedRemoved;
  read_buckets: AddedRemoved;
  services: AddedRemoved & { changed: MethodChange[] }; // by method: `greeter.greet`
  resources: ResourceChange[];
  identity: FieldChange[]; // what it is called, who made it and how it runs
};

/** The pair that is compared, each with the hosts that it could really reach. */
export type Compared = { manifest: Manifest; egress: readonly string[] };

export function compareBundles(from: Compared, to: Compared): Differences {
  return {
    version: { from: from.manifest.version, to: to.manifest.version, change: compareVersions(from.manifest.version, to.manifest.version) },
    capabilities: compareNames(from.manifest.capabilities, to.manifest.capabilities),
    egress: compareNames(from.egress, to.egress),
    routes: compareNames(describeRoutes(from.manifest), describeRoutes(to.manifest)),
    read_buckets: compareNames(from.manifest.kv?.read_buckets ?? [], to.manifest.kv?.read_buckets ?? []),
    services: compareServices(from.manifest, to.manifest),
    resources: compareResources(from.manifest, to.manifest),
    identity: compareFields(describeIdentity(from.manifest), describeIdentity(to.manifest)),
  };
}

export function compareVersions(from: string, to: string): VersionChange {
  if (from === to) return 'same-version';
  if (valid(from) === null || valid(to) === null) return 'unordered';
  const order = compare(to, from);
  return order === 0 ? 'same-version' : order > 0 ? 'upgrade' : 'downgrade';
}

function compareNames<Name extends string>(from: readonly Name[], to: readonly Name[]): AddedRemoved<Name> {
  const [before, after] = [new Set(from), new Set(to)];
  return { added: [...after.difference(before)].sort(), removed: [...before.difference(after)].sort() };
}

/** One for each method of a path, because each is a door of its own. */
const describeRoutes = ({ routes = [] }: Manifest): string[] =>
  routes.flatMap(({ path, methods }) => methods.map((name) => `${name} ${path}`));

function compareServices(from: Manifest, to: Manifest): Differences['services'] {
  const [before, after] = [methodsOf(from), methodsOf(to)];
  const changed = [...before].flatMap(([method, row]) => {
    const next = after.get(method);
    const changes = next ? compareFields(describeMethod(row), describeMethod(next)) : [];
    return changes.length > 0 ? [{ method, changes }] : [];
  });
  return { ...compareNames([...before.keys()], [...after.keys()]), changed };
}

const methodsOf = ({ services = [] }: Manifest): Map<string, ServiceMethod> =>
  new Map(services.flatMap(({ name, methods }) => methods.map((method) => [`${name}.${method.name}`, method] as const)));

/** `scopes`: what a caller needs beside `plugin:call`; none named means an administrator. */
const describeMethod = ({ effect, scopes, timeout_ms, budget, params, result }: ServiceMethod): Record<string, string> => ({
  effect,
  scopes:
    scopes.length === 0
      ? 'plugin:admin'
      : scopes
          .filter((scope) => scope !== 'plugin:call')
          .sort()
          .join(' ') || 'none',
  timeout_ms: String(timeout_ms ?? 'default'),
  budget: budget
    ? `${budget.timeout_ms} ms, ${budget.stdout_bytes} + ${budget.stderr_bytes} bytes, ${budget.host_calls} host calls`
    : 'default',
  params: params ? describeSchema(params) : 'anything',
  result: result ? describeSchema(result) : 'anything',
});

const describeIdentity = ({ name, publisher, unsigned, type, engine, wire, form }: Manifest): Record<string, string> => ({
  name,
  publisher: unsigned ? '(unsigned)' : publisher,
  type,
  engine,
  wire,
  form,
});

const compareFields = (from: Record<string, string>, to: Record<string, string>): FieldChange[] =>
  Object.entries(to).flatMap(([field, value]) => {
    const before = from[field] ?? '';
    return before === value ? [] : [{ field, from: before, to: value }];
  });

function compareResources(from: Manifest, to: Manifest): ResourceChange[] {
  const [before, after] = [
    { ...defaultResources, ...from.resources },
    { ...defaultResources, ...to.resources },
  ];
  const names = Object.keys(defaultResources) as (keyof Resources)[]; // the object literal's own keys are exactly the type
  return names.flatMap((name) => (before[name] === after[name] ? [] : [{ name, from: before[name], to: after[name] }]));
}
