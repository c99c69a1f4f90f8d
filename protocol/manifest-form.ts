import type { Risk } from './capabilities.ts';
import type { ManifestV3 } from './manifest.ts';
import type { PayloadSchema } from './payload-schema.ts';
import type { Scope } from './scopes.ts';

export const manifestForms = ['v1', 'v2', 'v3'] as const;
export type ManifestForm = (typeof manifestForms)[number];

/** What one action of a stdio-json-v1 plugin may use. */
export type InvokeBudget = { timeout_ms: number; stdout_bytes: number; stderr_bytes: number; host_calls: number };

export type ServiceMethod = {
  name: string;
  effect: Risk;
  scopes: readonly Scope[];
  timeout_ms?: number | undefined;
  budget?: InvokeBudget | undefined; // v1 and v2: always there
  /** What a caller must give and what it gets, where the manifest says so; only v3 can. */
  params?: PayloadSchema | undefined;
  result?: PayloadSchema | undefined;
};
export type ServiceRow = { name: string; methods: readonly ServiceMethod[] };

/**
 * A manifest of any of the three forms, told the same way. `wire` says how its process speaks; `entrypoints` are the paths inside a v2 archive
 * by platform (`linux/amd64`), null where the artifact itself is what runs; `digest_sha256` pins the artifact (v2: the archive) and is empty
 * in an unsigned v1 manifest that names none.
 */
export type Manifest = Omit<ManifestV3, 'schema' | 'signature_ed25519' | 'services'> & {
  form: ManifestForm;
  wire: 'json-rpc' | 'stdio-json-v1';
  entrypoints: Readonly<Record<string, string>> | null;
  ui_entrypoint?: string | undefined; // v2: a document that the archive must hold
  services?: readonly ServiceRow[] | undefined;
  unsigned: boolean; // only ever true for a v1 manifest without publisher and signature
};

export const normaliseV3 = ({ schema: _schema, signature_ed25519: _signature, ...manifest }: ManifestV3): Manifest => ({
  ...manifest,
  form: 'v3',
  wire: 'json-rpc',
  entrypoints: null,
  unsigned: false,
});
