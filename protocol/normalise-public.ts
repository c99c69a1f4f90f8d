import { type Capability, highestRisk, type Risk, risks } from './capabilities.ts';
import type { InvokeBudget, Manifest, ServiceMethod, ServiceRow } from './manifest-form.ts';
import { type PublicInterface, type PublicManifest, schemaV2 } from './public-manifest.ts';
import { toOwnScopes } from './public-scopes.ts';

/** What one action may use when its manifest states no budget. */
export const defaultBudget: InvokeBudget = { timeout_ms: 10_000, stdout_bytes: 1 << 20, stderr_bytes: 1 << 20, host_calls: 64 };
const engines = { system: 'native', worker: 'template', wasm: 'wasm' } as const;

/**
 * A v1 or v2 manifest that passed its checks, told like every other. These forms cannot say that a method changes the host: one that is not
 * declared a read (in v1 none is) counts as the highest risk that the plugin's capabilities reach.
 */
export function normalisePublic(manifest: PublicManifest): Manifest {
  const isV2 = manifest.schema === schemaV2;
  const capabilities = (manifest.capabilities ?? []) as Capability[]; // checked: all are of the closed list
  const type = manifest.type as keyof typeof engines; // checked
  const services = servicesOf(manifest.interfaces ?? [], highestRisk(capabilities));
  return {
    form: isV2 ? 'v2' : 'v1',
    wire: 'stdio-json-v1',
    id: manifest.id,
    name: manifest.name,
    version: manifest.version,
    publisher: manifest.publisher,
    type,
    engine: engines[type],
    capabilities,
    entrypoints: isV2 ? (manifest.runtime?.entrypoints ?? {}) : null,
    digest_sha256: (manifest.bundle?.digest_sha256 ?? manifest.digest_sha256).toLowerCase(),
    unsigned: !isV2 && manifest.publisher === '' && manifest.signature_ed25519 === '',
    ...(manifest.ui_runtime ? { ui_entrypoint: manifest.ui_runtime.entrypoint } : {}),
    ...(services.length > 0 ? { services } : {}),
  };
}

/** What the plugin itself answers; a service with backing `core` would be answered by a server that has it. */
function servicesOf(interfaces: readonly PublicInterface[], reach: Risk): ServiceRow[] {
  const own = interfaces.filter(({ backing }) => backing !== 'core');
  return [...Map.groupBy(own, ({ service }) => service)].map(([name, rows]) => ({
    name,
    // v1 lets a service stand twice; of equal methods the last one counts, as there.
    methods: [...new Map(rows.flatMap((row) => methodsOf(row, reach)).map((method) => [method.name, method])).values()],
  }));
}

function methodsOf(row: PublicInterface, reach: Risk): ServiceMethod[] {
  const atLeastWrite = risks[Math.max(risks.indexOf(reach), risks.indexOf('write'))] ?? 'host';
  if (!row.typed)
    return (row.methods ?? []).map((name) => ({
      name,
      effect: reach,
      scopes: toOwnScopes(row.scopes ?? []),
      timeout_ms: defaultBudget.timeout_ms,
      budget: defaultBudget,
    }));
  return (row.methods ?? []).map((method) => ({
    name: method.name,
    effect: method.effect === 'read' ? 'read' : atLeastWrite,
    scopes: toOwnScopes(method.scopes?.length ? method.scopes : (row.scopes ?? [])),
    timeout_ms: method.budget?.timeout_ms ?? defaultBudget.timeout_ms,
    budget: method.budget ?? defaultBudget,
  }));
}
