import type { ManifestFault } from './manifest.ts';
import { type PublicInterface, type PublicManifest, type PublicMethod, type PublicView, schemaV2 } from './public-manifest.ts';
import { isPublicScope } from './public-scopes.ts';

const route = /^[a-z0-9][a-z0-9/_-]{0,64}$/;
const key = /^[a-z0-9][a-z0-9._-]{0,48}$/;
const methodName = /^[a-z][a-z0-9._-]{0,48}$/;
const serviceSuffix = /^[a-z0-9][a-z0-9._/-]{0,127}$/;
const section = /^[a-z0-9][a-z0-9_-]{0,48}$/;
const viewKinds = new Set(['table', 'detail', 'form', 'kv', 'markdown', 'sandbox']);
const renders = new Set(['', 'copy-secret', 'bytes', 'relative-time', 'badge', 'code']);
const formKinds = new Set(['text', 'int', 'select']);
const icons = new Set(['', 'Radar', 'Boxes', 'Store', 'ServerCog', 'DoorOpen', 'Users', 'Link', 'Gauge', 'Blocks', 'Shield', 'Spline']);
/** The most that a method's budget may ask for. */
export const budgetMost = { timeout_ms: 30_000, stdout_bytes: 8 << 20, stderr_bytes: 1 << 20, host_calls: 512 } as const;

const fault = (at: string, detail: string): ManifestFault => ({ code: 'invalid-manifest', detail: `${at}: ${detail}` });
const foreignScope = (scopes: readonly string[] | null): boolean => !(scopes ?? []).every(isPublicScope);

export function checkInterfaces(manifest: PublicManifest): ManifestFault | null {
  const interfaces = manifest.interfaces ?? [];
  for (const [at, row] of interfaces.entries()) {
    const where = `/interfaces/${at}`;
    const refusal = checkContract(manifest, row, where) ?? checkMethods(row, where);
    if (refusal) return refusal;
    if (manifest.schema === schemaV2 && interfaces.findIndex(({ service }) => service === row.service) !== at)
      return fault(where, 'a service stands twice');
  }
  return null;
}

function checkContract({ id, schema, type }: PublicManifest, row: PublicInterface, at: string): ManifestFault | null {
  const isV2 = schema === schemaV2;
  if (!row.service.startsWith(`${id}/`) || !serviceSuffix.test(row.service.slice(id.length + 1)))
    return fault(`${at}/service`, `a service is named ${id}/…`);
  if (!row.methods?.length) return fault(`${at}/methods`, 'at least one is needed');
  if (row.typed !== isV2) return fault(`${at}/methods`, isV2 ? 'a v2 method is an object' : 'a v1 method is a name');
  if (isV2 ? row.backing !== 'runtime' && row.backing !== 'core' : row.backing !== '')
    return fault(`${at}/backing`, isV2 ? 'must be runtime or core' : 'belongs to v2');
  if (row.backing === 'core' && type !== 'system') return fault(`${at}/backing`, 'core needs a system plugin');
  if (foreignScope(row.scopes)) return fault(`${at}/scopes`, 'names a scope that there is not');
  return null;
}

const namesOf = (row: PublicInterface): readonly string[] =>
  row.typed ? (row.methods ?? []).map(({ name }) => name) : (row.methods ?? []);

function checkMethods(row: PublicInterface, at: string): ManifestFault | null {
  const names = namesOf(row);
  for (const [index, name] of names.entries()) {
    const where = `${at}/methods/${index}`;
    if (!methodName.test(name)) return fault(where, 'a method is 1 to 49 of a-z 0-9 . _ -, beginning with a letter');
    if (names.indexOf(name) !== index) return fault(where, 'a method stands twice');
  }
  for (const [index, method] of (row.typed ? (row.methods ?? []) : []).entries()) {
    const refusal = checkTyped(method, row, `${at}/methods/${index}`);
    if (refusal) return refusal;
  }
  return null;
}

function checkTyped(method: PublicMethod, row: PublicInterface, at: string): ManifestFault | null {
  const own = method.scopes ?? [];
  if (!['read', 'write', 'plan'].includes(method.effect)) return fault(`${at}/effect`, 'must be read, write or plan');
  if (foreignScope(method.scopes)) return fault(`${at}/scopes`, 'names a scope that there is not');
  if (method.effect !== 'read' && own.length === 0) return fault(`${at}/scopes`, `effect ${method.effect} needs scopes of its own`);
  if (own.length === 0 && !row.scopes?.length) return fault(`${at}/scopes`, 'neither the method nor its interface has scopes');
  // They need http:operator-target, which is not of this server's list.
  if (method.operator_target_fields?.length) return fault(`${at}/operator_target_fields`, 'this server has no operator targets');
  return method.budget === null ? null : checkBudget(method.budget, `${at}/budget`);
}

function checkBudget(budget: NonNullable<PublicMethod['budget']>, at: string): ManifestFault | null {
  for (const name of ['timeout_ms', 'stdout_bytes', 'stderr_bytes', 'host_calls'] as const) {
    const least = name === 'host_calls' ? 0 : 1;
    if (budget[name] < least || budget[name] > budgetMost[name])
      return fault(`${at}/${name}`, `must be from ${least} to ${budgetMost[name]}`);
  }
  return null;
}

/** What a manifest contributes to a dashboard. Nothing of it is shown here, but a manifest that lies about it is refused as a whole. */
export function checkUi(manifest: PublicManifest): ManifestFault | null {
  for (const [at, row] of (manifest.ui?.nav ?? []).entries()) {
    const where = `/ui/nav/${at}`;
    if (manifest.schema === schemaV2 ? row.section !== 'extensions' : !section.test(row.section))
      return fault(`${where}/section`, 'is not allowed');
    if (row.title === '' || !route.test(row.route)) return fault(where, 'needs a title and a route');
    if (!icons.has(row.icon)) return fault(`${where}/icon`, 'there is no such icon');
    if (foreignScope(row.scopes)) return fault(`${where}/scopes`, 'names a scope that there is not');
  }
  for (const [at, row] of (manifest.ui?.views ?? []).entries()) {
    const refusal = checkView(manifest, row, `/ui/views/${at}`);
    if (refusal) return refusal;
  }
  return null;
}

function checkView(manifest: PublicManifest, view: PublicView, at: string): ManifestFault | null {
  if (view.title === '' || !route.test(view.route)) return fault(at, 'needs a title and a route');
  if (!viewKinds.has(view.kind)) return fault(`${at}/kind`, 'there is no such kind');
  if (view.kind === 'sandbox' && manifest.ui_runtime === null) return fault(`${at}/kind`, 'sandbox needs ui_runtime');
  if (view.kind === 'sandbox' && (view.source !== null || view.columns?.length || view.actions?.length))
    return fault(at, 'a sandbox view has no source, columns or actions');
  if (view.source !== null && scopesOf(manifest, view.source) === null) return fault(`${at}/source`, 'is not a declared method');
  for (const [index, column] of (view.columns ?? []).entries())
    if (!key.test(column.key) || !renders.has(column.render)) return fault(`${at}/columns/${index}`, 'has no valid key and render');
  for (const [index, action] of (view.actions ?? []).entries()) {
    const refusal = checkAction(manifest, action, `${at}/actions/${index}`);
    if (refusal) return refusal;
  }
  return null;
}

function checkAction(manifest: PublicManifest, action: NonNullable<PublicView['actions']>[number], at: string): ManifestFault | null {
  if (action.label === '' || action.interface === '' || action.method === '') return fault(at, 'needs label, interface and method');
  const scopes = scopesOf(manifest, action);
  if (scopes === null) return fault(at, 'is not a declared method');
  if (scopes.length === 0 && !action.scopes?.length) return fault(at, 'neither the action nor its interface has scopes');
  if (foreignScope(action.scopes)) return fault(`${at}/scopes`, 'names a scope that there is not');
  for (const [index, field] of (action.form ?? []).entries())
    if (!key.test(field.key) || !formKinds.has(field.kind)) return fault(`${at}/form/${index}`, 'has no valid key and kind');
  return null;
}

/** The scopes that a declared method needs, null when nothing declares it; of equal declarations the last one counts. */
function scopesOf(manifest: PublicManifest, named: { interface: string; method: string }): readonly string[] | null {
  const row = (manifest.interfaces ?? []).findLast((each) => each.service === named.interface && namesOf(each).includes(named.method));
  if (!row) return null;
  const own = row.typed ? row.methods?.find(({ name }) => name === named.method)?.scopes : null;
  return own?.length ? own : (row.scopes ?? []);
}
