import { byBytes, decode, encode, type Field, type GoValue, type Shape, ShapeFault } from './go-json.ts';

export const schemaV2 = 'lattice.plugin.manifest.v2';
const prefixV1 = 'lattice-plugin-manifest-v1';
const prefixV2 = 'LATTICE-PLUGIN-MANIFEST-V2\n';

const text = (name: string, omitEmpty = false): Field => ({ name, shape: 'string', omitEmpty });
const texts = (name: string, omitEmpty = false): Field => ({ name, shape: { list: 'string' }, omitEmpty });
const rows = (name: string, struct: readonly Field[]): Field => ({ name, shape: { list: { struct } }, omitEmpty: true });
const part = (name: string, struct: readonly Field[]): Field => ({ name, shape: { pointer: { struct } }, omitEmpty: true });

const budget = ['timeout_ms', 'stdout_bytes', 'stderr_bytes', 'host_calls'] as const;
const typedMethod: readonly Field[] = [
  text('name'),
  text('effect'),
  texts('scopes', true),
  texts('operator_target_fields', true),
  part(
    'budget',
    budget.map((name) => ({ name, shape: 'int' })),
  ),
];
const contract = (methods: Shape): Shape => ({
  struct: [text('service'), { name: 'methods', shape: methods }, texts('scopes', true), text('backing', true)],
});
const namedContract = contract({ list: 'string' });
const typedContract = contract({ list: { struct: typedMethod } });

const nav: readonly Field[] = [
  text('section'),
  text('section_title', true),
  text('title'),
  text('route'),
  text('icon', true),
  texts('scopes', true),
];
const formField: readonly Field[] = [text('key'), text('label', true), text('kind'), texts('options', true)];
const action: readonly Field[] = [text('label'), text('interface'), text('method'), rows('form', formField), texts('scopes', true)];
const view: readonly Field[] = [
  text('route'),
  text('title'),
  text('kind'),
  part('source', [text('interface'), text('method')]),
  rows('columns', [text('key'), text('label'), text('render', true)]),
  rows('actions', action),
];
const ui: readonly Field[] = [rows('nav', nav), rows('views', view)];

/** Every member that a v1 or v2 manifest may have, in the order in which they are signed. Interfaces are encoded on their own. */
const beforeInterfaces: readonly Field[] = [
  text('schema', true),
  text('id'),
  text('name'),
  text('type'),
  texts('capabilities'),
  text('version', true),
  text('entrypoint', true),
  text('publisher', true),
  text('digest_sha256', true),
  text('signature_ed25519', true),
  part('bundle', [text('format'), text('digest_sha256')]),
  part('runtime', [text('protocol'), { name: 'entrypoints', shape: { map: 'string' } }]),
  part('ui_runtime', [text('mode'), text('entrypoint'), text('bridge_version')]),
  part('compatibility', [text('server'), text('dashboard_host'), text('runtime_protocol')]),
  text('min_server', true),
  part('host_access', [rows('rpc', [text('service'), texts('methods')])]),
  part('ui', ui),
];
const afterInterfaces: readonly Field[] = [
  rows('dependencies', [text('id'), text('version', true), { name: 'optional', shape: 'bool', omitEmpty: true }]),
];

type List<T> = readonly T[] | null;
export type PublicMethod = {
  name: string;
  effect: string;
  scopes: List<string>;
  operator_target_fields: List<string>;
  budget: { timeout_ms: number; stdout_bytes: number; stderr_bytes: number; host_calls: number } | null;
};
export type PublicInterface = { service: string; scopes: List<string>; backing: string } & (
  | { typed: false; methods: List<string> }
  | { typed: true; methods: List<PublicMethod> }
);
export type PublicView = {
  route: string;
  title: string;
  kind: string;
  source: { interface: string; method: string } | null;
  columns: List<{ key: string; label: string; render: string }>;
  actions: List<{
    label: string;
    interface: string;
    method: string;
    form: List<{ key: string; label: string; kind: string; options: List<string> }>;
    scopes: List<string>;
  }>;
};
export type PublicManifest = {
  schema: string;
  id: string;
  name: string;
  type: string;
  capabilities: List<string>;
  version: string;
  entrypoint: string;
  publisher: string;
  digest_sha256: string;
  signature_ed25519: string;
  bundle: { format: string; digest_sha256: string } | null;
  runtime: { protocol: string; entrypoints: Readonly<Record<string, string>> | null } | null;
  ui_runtime: { mode: string; entrypoint: string; bridge_version: string } | null;
  compatibility: { server: string; dashboard_host: string; runtime_protocol: string } | null;
  min_server: string;
  host_access: { rpc: List<{ service: string; methods: List<string> }> } | null;
  ui: {
    nav: List<{ section: string; section_title: string; title: string; route: string; icon: string; scopes: List<string> }>;
    views: List<PublicView>;
  } | null;
  interfaces: List<PublicInterface>;
  dependencies: List<{ id: string; version: string; optional: boolean }>;
};

export type DecodedManifest = { manifest: PublicManifest; payload: Buffer };

/** Methods are all names or all objects; an empty list counts as names. */
const isNamed = (methods: unknown): boolean =>
  !Array.isArray(methods) || methods.every((method) => method === null || typeof method === 'string');

function decodeInterface(value: unknown, at: string): PublicInterface {
  const methods = typeof value === 'object' && value !== null && 'methods' in value ? value.methods : null;
  const typed = !isNamed(methods);
  const row = decode(value, typed ? typedContract : namedContract, at);
  if (typed) requireWholeBudgets(methods, at);
  // The shape and the type say the same thing; TypeScript cannot derive one from the other.
  return { ...(row as unknown as PublicInterface), typed } as PublicInterface;
}

/** A budget is complete or left out: a missing number must not silently mean none. */
function requireWholeBudgets(methods: unknown, at: string): void {
  (methods as readonly unknown[]).forEach((method, index) => {
    const given = typeof method === 'object' && method !== null && 'budget' in method ? method.budget : null;
    if (typeof given !== 'object' || given === null) return;
    const missing = budget.find(
      (name) => (given as Record<string, unknown>)[name] === undefined || (given as Record<string, unknown>)[name] === null,
    );
    if (missing !== undefined) throw new ShapeFault(`${at}/methods/${index}/budget/${missing}: a budget states all four numbers`);
  });
}

const encodeInterfaces = (interfaces: PublicManifest['interfaces']): string =>
  interfaces === null
    ? 'null'
    : `[${interfaces.map((row) => encode(row as unknown as GoValue, row.typed ? typedContract : namedContract)).join(',')}]`;

/** Reads a parsed v1 or v2 manifest, and the exact bytes its signature covers. Throws ShapeFault. Nothing but its shape has been checked. */
export function decodePublicManifest(raw: Readonly<Record<string, unknown>>): DecodedManifest {
  const { interfaces: given, ...rest } = raw;
  if (given !== undefined && given !== null && !Array.isArray(given)) throw new ShapeFault('/interfaces: must be an array');
  const flat = decode(rest, { struct: [...beforeInterfaces, ...afterInterfaces] });
  const interfaces = (given as readonly unknown[] | null | undefined)?.map((row, at) => decodeInterface(row, `/interfaces/${at}`)) ?? null;
  const manifest = { ...(flat as unknown as Omit<PublicManifest, 'interfaces'>), interfaces };
  return { manifest, payload: Buffer.from(manifest.schema === schemaV2 ? payloadV2(manifest) : payloadV1(manifest), 'utf8') };
}

function payloadV1(manifest: PublicManifest): string {
  const { id, name, type, version, entrypoint, publisher, digest_sha256, interfaces } = manifest;
  const capabilities = [...(manifest.capabilities ?? [])].sort(byBytes).join('\0');
  const lines = [prefixV1, id, name, type, version, entrypoint, publisher, digest_sha256, capabilities];
  // Only a manifest that contributes to the dashboard has the two further lines.
  if (manifest.ui !== null || (interfaces?.length ?? 0) > 0)
    lines.push(encode(manifest.ui as unknown as GoValue, { pointer: { struct: ui } }), encodeInterfaces(interfaces));
  return lines.join('\n');
}

function payloadV2(manifest: PublicManifest): string {
  const unsigned = { ...manifest, signature_ed25519: '' } as unknown as GoValue;
  const [head, tail] = [encode(unsigned, { struct: beforeInterfaces }), encode(unsigned, { struct: afterInterfaces })];
  const interfaces = manifest.interfaces?.length ? `,"interfaces":${encodeInterfaces(manifest.interfaces)}` : '';
  const rest = tail === '{}' ? '' : `,${tail.slice(1, -1)}`;
  return `${prefixV2}${head.slice(0, -1)}${interfaces}${rest}}`;
}
