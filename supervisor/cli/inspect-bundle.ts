import { hash } from 'node:crypto';
import { capabilities, highestRisk } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
import { defaultResources, type ParsedManifest, parseManifest } from '../../protocol/manifest.ts';
import type { Manifest } from '../../protocol/manifest-form.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import type { Cli } from './cli.ts';
import { describeCapabilities } from './consent.ts';
import { describePayloads } from './describe-payloads.ts';
import { visible } from './visible.ts';

export async function inspect(cli: Cli, folder: string): Promise<void> {
  const { openBundle } = await import('../publish/open-bundle.ts');
  const { manifest: bytes, artifact } = openBundle(folder);
  const { parsed, signed } = await parsePacked(bytes);
  if (!parsed.ok)
    throw new HostError('verification-failed', `${parsed.fault.code}: ${parsed.fault.detail}`, {
      rule: parsed.fault.code,
      hint: 'the service would refuse it for the same reason',
    });
  const view = { ...createView(parsed.manifest, bytes, artifact), signed };
  await cli.show(view, () => render(view));
}

/** A bundle that was packed and not signed yet is looked at as well. */
async function parsePacked(bytes: Buffer): Promise<{ parsed: ParsedManifest; signed: boolean }> {
  const parsed = parseManifest(bytes);
  if (parsed.ok) return { parsed, signed: !parsed.manifest.unsigned };
  const { anySignature, renderManifest } = await import('../publish/pack-plugin.ts');
  const read = parseStrict(bytes);
  const fields = read.ok && typeof read.value === 'object' && read.value !== null ? read.value : null;
  if (fields === null || Object.hasOwn(fields, 'signature_ed25519')) return { parsed, signed: false };
  return { parsed: parseManifest(renderManifest({ ...fields, signature_ed25519: anySignature })), signed: false };
}

type View = ReturnType<typeof createView> & { signed: boolean };

function createView(manifest: Manifest, bytes: Buffer, artifact: Buffer) {
  const artifactSha256 = hash('sha256', artifact, 'hex');
  return {
    form: manifest.form,
    id: manifest.id,
    name: manifest.name,
    version: manifest.version,
    type: manifest.type,
    engine: manifest.engine,
    wire: manifest.wire,
    platforms: manifest.entrypoints === null ? null : Object.keys(manifest.entrypoints),
    publisher: manifest.publisher,
    risk: highestRisk(manifest.capabilities),
    capabilities: manifest.capabilities.map((name) => ({ name, ...capabilities[name] })),
    egress: manifest.egress ?? [],
    read_buckets: manifest.kv?.read_buckets ?? [],
    routes: manifest.routes ?? [],
    services: manifest.services ?? [],
    resources: { ...defaultResources, ...manifest.resources },
    bundle_sha256: hash('sha256', bytes, 'hex'),
    artifact_sha256: artifactSha256,
    artifact_bytes: artifact.length,
    artifact_is_pinned: manifest.digest_sha256 === artifactSha256,
  };
}

function render(view: View): string {
  const { resources } = view;
  const methods = view.services.flatMap((service) =>
    service.methods.map(
      (method) =>
        `    ${service.name}.${method.name}${describePayloads(method)}  effect ${method.effect}, for callers with ${method.scopes.join(' ') || 'plugin:admin'}`,
    ),
  );
  const platforms = view.platforms === null ? '' : `, for ${view.platforms.map(visible).join(', ')}`;
  return `${[
    `${visible(view.name)} (${view.id}) ${visible(view.version)}`,
    `  a ${view.type} plugin for the engine ${view.engine}, speaking ${view.wire}${platforms}; manifest of form ${view.form}`,
    view.signed ? `  says that ${visible(view.publisher)} signed it: lattice verify checks that` : '  not signed',
    ...describeCapabilities(
      view.capabilities.map(({ name }) => name),
      view,
    ),
    methods.length === 0 ? '  It answers no calls.' : '  It answers these calls:',
    ...methods,
    ...view.routes.map(({ path, methods: verbs }) => `  It answers web requests: ${verbs.join(' ')} ${visible(path)}`),
    `  It asks for ${resources.memory_mib} MiB of memory, ${resources.cpu_percent} % of a processor, ${resources.pids} processes, ${resources.tmp_mib} MiB of temporary files.`,
    `  artifact ${view.artifact_sha256}, ${view.artifact_bytes} bytes${view.artifact_is_pinned ? '' : ', NOT the one that the manifest pins'}`,
    `  bundle ${view.bundle_sha256}`,
  ].join('\n')}\n`;
}
