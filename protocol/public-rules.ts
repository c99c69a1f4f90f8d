import { isCapability, pluginTypes, typeRefusal } from './capabilities.ts';
import type { ManifestFault } from './manifest.ts';
import { checkInterfaces, checkUi } from './public-contributions.ts';
import { type PublicManifest, schemaV2 } from './public-manifest.ts';
import { reservedIds } from './reserved-ids.ts';
import { faultOfRange } from './version-range.ts';

const bytesOf = (text: string): number => Buffer.byteLength(text, 'utf8');
/** What Go calls a control character; a v1 payload joins its fields by newlines, so none may stand in a field. */
export const hasControl = (text: string): boolean => /[\0-\x1f\x7f]/.test(text);
const space = '[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+'; // Unicode White_Space, as Go trims
const trim = (text: string): string => text.replace(new RegExp(`^${space}|${space}$`, 'g'), '');

/** Ids and publishers of the public forms: 3 to 128 of a-z 0-9 . -, no two dots in a row, letters or digits at both ends. */
export const isPublicId = (text: string): boolean => /^(?=.{3,128}$)[a-z0-9](?:[a-z0-9-]|\.(?!\.))*[a-z0-9]$/.test(text);
const isDigest = (text: string): boolean => /^[0-9a-fA-F]{64}$/.test(text);
const isContractValue = (text: string): boolean => trim(text) !== '' && bytesOf(trim(text)) <= 128 && !hasControl(trim(text));
/** A path inside a bundle that means one place only, whatever reads it. */
export const isBundlePath = (path: string): boolean =>
  path !== '' && !hasControl(path) && !path.includes('\\') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');

const fault = (detail: string, code = 'invalid-manifest'): ManifestFault => ({ code, detail });

/** Everything that the public server refuses in a v1 or v2 manifest, and what this one refuses beyond; null when there is nothing. */
export function checkPublicManifest(manifest: PublicManifest): ManifestFault | null {
  return (
    checkIdentity(manifest) ??
    checkCapabilities(manifest) ??
    checkForm(manifest) ??
    checkDependencies(manifest) ??
    checkInterfaces(manifest) ??
    checkUi(manifest)
  );
}

function checkIdentity({ schema, id, name, publisher, type }: PublicManifest): ManifestFault | null {
  if (schema !== '' && schema !== schemaV2) return fault('/schema: no manifest form has this name', 'unsupported-schema');
  if (!isPublicId(id)) return fault('/id: an id is 3 to 128 of a-z 0-9 . -, with a letter or digit at both ends');
  if (reservedIds.has(id)) return fault('/id: this id is reserved', 'reserved-id');
  if (trim(name) === '' || hasControl(name) || bytesOf(name) > 80) return fault('/name: a name is 1 to 80 bytes of printable text');
  if (publisher !== '' && !isPublicId(publisher)) return fault('/publisher: a publisher is written like an id');
  if (!(pluginTypes as readonly string[]).includes(type)) return fault('/type: must be system, worker or wasm');
  return null;
}

function checkCapabilities({ capabilities, type }: PublicManifest): ManifestFault | null {
  if (capabilities === null || capabilities.length === 0) return fault('/capabilities: at least one is needed');
  for (const [at, name] of capabilities.entries()) {
    if (capabilities.indexOf(name) !== at) return fault(`/capabilities/${at}: a capability stands twice`);
    if (!isCapability(name)) return fault(`"${name.slice(0, 64)}" is not a capability of this server`, 'unknown-capability');
    const refusal = typeRefusal(type as (typeof pluginTypes)[number], name); // checkIdentity came first
    if (refusal !== null) return fault(`/capabilities/${at}: ${refusal}`);
  }
  return null;
}

const checkForm = (manifest: PublicManifest): ManifestFault | null =>
  manifest.schema === schemaV2 ? checkV2(manifest) : checkV1(manifest);

const versionMostBytes = 64; // as v2; it stands in lists, consents and audit rows

function checkV1(manifest: PublicManifest): ManifestFault | null {
  const later = (['bundle', 'runtime', 'ui_runtime', 'compatibility', 'host_access'] as const).find((name) => manifest[name] !== null);
  if (later !== undefined || manifest.min_server !== '') return fault(`/${later ?? 'min_server'}: needs "schema": "${schemaV2}"`);
  const spliced = (['version', 'entrypoint'] as const).find((name) => hasControl(manifest[name]));
  if (spliced !== undefined) return fault(`/${spliced}: no control characters`, 'control-character');
  if (bytesOf(manifest.version) > versionMostBytes) return fault(`/version: at most ${versionMostBytes} bytes`, 'version-too-long');
  if (manifest.digest_sha256 !== '' && !isDigest(manifest.digest_sha256)) return fault('/digest_sha256: must be 64 hex digits');
  return null;
}

function checkV2(manifest: PublicManifest): ManifestFault | null {
  const { bundle, runtime, ui_runtime, compatibility, min_server, version } = manifest;
  if (manifest.entrypoint !== '' || manifest.digest_sha256 !== '') return fault('/entrypoint and /digest_sha256 belong to v1 only');
  if (!/^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$/.test(version) || version.includes('..')) return fault('/version: is not a version');
  if (bundle?.format !== 'tar+gzip') return fault('/bundle/format: must be tar+gzip');
  if (!isDigest(bundle.digest_sha256)) return fault('/bundle/digest_sha256: must be 64 hex digits');
  if (runtime?.protocol !== 'stdio-json-v1') return fault('/runtime/protocol: must be stdio-json-v1');
  const entries = Object.entries(runtime.entrypoints ?? {});
  if (entries.length === 0) return fault('/runtime/entrypoints: at least one is needed');
  for (const [platform, path] of entries) {
    if (!/^[a-z0-9]+\/[a-z0-9][a-z0-9_]*$/.test(platform)) return fault('/runtime/entrypoints: a platform is like linux/amd64');
    if (!isBundlePath(path) || !path.startsWith('bin/')) return fault('/runtime/entrypoints: an entry point is a plain path under bin/');
  }
  if (ui_runtime !== null) {
    if (ui_runtime.mode !== 'sandbox' || ui_runtime.bridge_version !== '1')
      return fault('/ui_runtime: must be mode sandbox, bridge version 1');
    const { entrypoint } = ui_runtime;
    if (!isBundlePath(entrypoint) || !entrypoint.startsWith('ui/') || !entrypoint.endsWith('.html'))
      return fault('/ui_runtime/entrypoint: is a plain path of an .html document under ui/');
  }
  if (compatibility === null || !Object.values(compatibility).every(isContractValue))
    return fault('/compatibility: server, dashboard_host and runtime_protocol are printable texts');
  if (min_server !== '' && !isContractValue(min_server)) return fault('/min_server: must be a printable text');
  // Its capability rpc:call is not of this server's list, so whatever is asked here could never be granted.
  if (manifest.host_access?.rpc?.length) return fault('/host_access/rpc: needs the capability rpc:call, which this server does not know');
  return null;
}

function checkDependencies({ dependencies, id }: PublicManifest): ManifestFault | null {
  for (const [at, row] of (dependencies ?? []).entries()) {
    if (!isPublicId(row.id)) return fault(`/dependencies/${at}/id: is not a plugin id`);
    if (row.id === id) return fault(`/dependencies/${at}/id: a plugin does not depend on itself`);
    if (dependencies?.findIndex((other) => other.id === row.id) !== at) return fault(`/dependencies/${at}: a plugin stands twice`);
    if (faultOfRange(row.version) !== null) return fault(`/dependencies/${at}/version: is not a version range`);
  }
  return null;
}
