import canonicalize from 'canonicalize';
import { z } from 'zod';
import { capabilityNames, isCapability, pluginTypes, typeRefusal } from './capabilities.ts';
import { ShapeFault } from './go-json.ts';
import { type Manifest, normaliseV3 } from './manifest-form.ts';
import { suggest } from './nearest.ts';
import { normalisePublic } from './normalise-public.ts';
import { payloadSchema } from './payload-schema.ts';
import { plainly, tellFirst } from './plain-words.ts';
import { decodePublicManifest, schemaV2 } from './public-manifest.ts';
import { checkPublicManifest } from './public-rules.ts';
import { reservedIds } from './reserved-ids.ts';
import { scopes } from './scopes.ts';
import { parseStrict } from './strict-json.ts';

export const manifestLimits = { manifestBytes: 256 * 1024, artifactBytes: 64 * 1024 * 1024 } as const;
export const schemaV3 = 'lattice.plugin.manifest.v3';
const signaturePrefix = 'LATTICE-PLUGIN-MANIFEST-V3\n';

const engines = { system: ['node', 'native'], worker: ['template', 'quickjs'], wasm: ['wasm'] } as const;

export const idPattern = /^[a-z0-9][a-z0-9._-]{1,78}[a-z0-9]$/;
const id = z
  .string()
  .regex(idPattern, 'an id is 3 to 80 of a-z 0-9 . _ -, beginning and ending with a letter or digit')
  .refine((text) => text.includes('.'), 'an id has at least one dot, like example.hello')
  .refine((text) => !reservedIds.has(text), 'this id is reserved');
const oneLine = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u, 'no control or invisible characters');
const word = z.string().regex(/^[a-z][a-zA-Z0-9_]{0,63}$/, 'a name is a letter, then letters, digits or _');
const unique = <T>(items: readonly T[]) => new Set(items.map((item) => JSON.stringify(item))).size === items.length;
const label = '(?!-)[a-z0-9-]{1,63}(?<!-)';
/** `host:port`, the host an exact lower-case A-label name, or `*.` before one, or an IPv4 address, or an IPv6 address in brackets. */
export const egressPattern = new RegExp(`^(?:(?:\\*\\.)?${label}(?:\\.${label})+|\\[[0-9a-f:.]+\\]):([1-9][0-9]{0,4})$`);
const egress = z
  .string()
  .max(262)
  .regex(egressPattern, 'host:port, lower case, one port; *. only in front')
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65535, 'the port is over 65535');

/** What a manifest, or the operator of an older one, may list. */
export const egressList = z.array(egress).max(64).refine(unique, 'a host stands twice');

export const manifestV3 = z
  .strictObject({
    schema: z.literal(schemaV3),
    id,
    name: oneLine(80),
    version: z
      .string()
      .max(64)
      .regex(
        /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/,
        'a version is like 1.2.3 or 1.2.3-beta.1',
      ),
    publisher: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]$/, 'a publisher is 2 to 64 of a-z 0-9 . _ -'),
    type: z.enum(pluginTypes),
    engine: z.enum(['node', 'native', 'template', 'quickjs', 'wasm']),
    capabilities: z.array(z.enum(capabilityNames)).max(capabilityNames.length).refine(unique, 'a capability stands twice'),
    egress: egressList.optional(),
    routes: z
      .array(
        z.strictObject({
          path: z
            .string()
            .max(256)
            .regex(/^\/[A-Za-z0-9._~/-]*\*?$/),
          methods: z
            .array(z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']))
            .min(1)
            .refine(unique, 'a method stands twice'),
        }),
      )
      .max(64)
      .optional(),
    kv: z
      .strictObject({
        read_buckets: z
          .array(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/))
          .max(32)
          .refine(unique, 'a bucket stands twice'),
      })
      .optional(),
    services: z
      .array(
        z.strictObject({
          name: word,
          methods: z
            .array(
              z.strictObject({
                name: word,
                effect: z.enum(['read', 'write', 'host']),
                scopes: z.array(z.enum(scopes)).refine(unique, 'a scope stands twice'),
                timeout_ms: z.int().min(1).max(60_000).optional(),
                params: payloadSchema.optional(),
                result: payloadSchema.optional(),
              }),
            )
            .min(1)
            .max(128)
            .refine((rows) => unique(rows.map((row) => row.name)), 'a method stands twice'),
        }),
      )
      .max(64)
      .refine((rows) => unique(rows.map((row) => row.name)), 'a service stands twice')
      .optional(),
    resources: z
      .strictObject({
        memory_mib: z.int().min(16).max(4096).optional(),
        cpu_percent: z.int().min(1).max(400).optional(),
        pids: z.int().min(1).max(512).optional(),
        tmp_mib: z.int().min(1).max(1024).optional(),
      })
      .optional(),
    digest_sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits'),
    signature_ed25519: z.base64().length(88),
  })
  .superRefine((manifest, context) => {
    const say = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (!(engines[manifest.type] as readonly string[]).includes(manifest.engine)) {
      say(['engine'], `type ${manifest.type} runs on ${engines[manifest.type].join(' or ')}`);
    }
    manifest.capabilities.forEach((capability, at) => {
      const refusal = typeRefusal(manifest.type, capability);
      if (refusal) say(['capabilities', at], refusal);
    });
    const held = new Set<string>(manifest.capabilities);
    if (manifest.egress?.length && !held.has('http:egress')) say(['egress'], 'egress needs the capability http:egress');
    if (manifest.routes?.length && !held.has('worker:route')) say(['routes'], 'routes need the capability worker:route');
    if (manifest.kv?.read_buckets.length && !held.has('kv:read')) say(['kv'], 'read_buckets need the capability kv:read');
  });

export type ManifestV3 = z.output<typeof manifestV3>;
export type Resources = Required<NonNullable<ManifestV3['resources']>>;
export const defaultResources: Resources = { memory_mib: 128, cpu_percent: 50, pids: 32, tmp_mib: 16 };

/** What the author writes as `plugin.json`: the manifest without the two fields that `pack` and `sign` add. */
export const sourceFields = ['digest_sha256', 'signature_ed25519'] as const;

/** The exact bytes a v3 signature covers: the prefix line, then the RFC 8785 form of the manifest without its signature. */
export function signingBytes(manifest: Record<string, unknown>): Buffer {
  const { signature_ed25519: _signature, ...signed } = manifest;
  const canonical = canonicalize(signed);
  if (canonical === undefined) throw new Error('a manifest has no canonical form');
  return Buffer.from(signaturePrefix + canonical, 'utf8');
}

export type ManifestFault = { code: string; detail: string };
export type ParsedManifest =
  | { ok: true; manifest: Manifest; signed: { payload: Buffer; signature: string } }
  | { ok: false; fault: ManifestFault };
const unsigned = 'the bundle is not signed; sign it: lattice sign <bundle> --key <file>';
const fail = (code: string, detail: string): ParsedManifest => ({ ok: false, fault: { code, detail } });

/** Reads the bytes of a manifest.json. Nothing of it is trusted: its signature has not been looked at. */
export function parseManifest(bytes: Uint8Array): ParsedManifest {
  if (bytes.length > manifestLimits.manifestBytes)
    return fail('manifest-too-large', `a manifest is at most ${manifestLimits.manifestBytes} bytes`);
  const parsed = parseStrict(bytes);
  if (!parsed.ok) return fail(parsed.rule, parsed.detail);
  if (typeof parsed.value !== 'object' || parsed.value === null || Array.isArray(parsed.value))
    return fail('invalid-manifest', 'a manifest is an object');
  const raw = parsed.value as Record<string, unknown>; // just checked
  if (raw.schema === schemaV3) return parseV3(raw);
  if (isAbsent(raw.schema) || raw.schema === schemaV2) return parsePublic(raw, bytes);
  return fail('unsupported-schema', `"schema" is "${schemaV3}", "${schemaV2}", or left out for the first form`);
}

const isAbsent = (schema: unknown): boolean => schema === undefined || schema === null || schema === '';

/** v1 and v2 are signed as the public server encodes them; a number that it would not read as a whole one has no such encoding. */
function parsePublic(raw: Record<string, unknown>, bytes: Uint8Array): ParsedManifest {
  if (hasOtherNumber(bytes)) return fail('invalid-manifest', 'a number is written with digits only');
  try {
    const { manifest, payload } = decodePublicManifest(raw);
    const fault = checkPublicManifest(manifest);
    if (fault) return { ok: false, fault };
    return { ok: true, manifest: normalisePublic(manifest), signed: { payload, signature: manifest.signature_ed25519 } };
  } catch (error) {
    if (error instanceof ShapeFault) return fail(error.code, error.message);
    throw error;
  }
}

/** Whether a number outside a string has a fraction or an exponent. The text is JSON: it was parsed before. */
const hasOtherNumber = (bytes: Uint8Array): boolean =>
  /[0-9][.eE]/.test(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      .toString('utf8')
      .replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '""'),
  );

function parseV3(raw: Record<string, unknown>): ParsedManifest {
  const unknown = Array.isArray(raw.capabilities)
    ? raw.capabilities.find((name) => typeof name === 'string' && !isCapability(name))
    : undefined;
  if (unknown !== undefined)
    return fail(
      'unknown-capability',
      `"${String(unknown).slice(0, 64)}" is not one of the ${capabilityNames.length} capabilities${suggest(String(unknown), capabilityNames)}`,
    );
  const checked = manifestV3.safeParse(raw, plainly);
  if (checked.success)
    return {
      ok: true,
      manifest: normaliseV3(checked.data),
      signed: { payload: signingBytes(raw), signature: checked.data.signature_ed25519 },
    };
  const { issue, pointer, message } = tellFirst(checked.error.issues);
  if (issue?.path[0] === 'signature_ed25519' && raw.signature_ed25519 === undefined) return fail('unsigned', unsigned);
  const rule: unknown = issue?.code === 'custom' ? issue.params?.rule : undefined;
  return fail(typeof rule === 'string' ? rule : 'invalid-manifest', `${pointer}: ${message}`);
}
