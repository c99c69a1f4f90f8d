import { highestRisk } from '../protocol/capabilities.ts';
import { defaultResources, type Resources } from '../protocol/manifest.ts';
import type { LoadedBundle } from './loaded-bundle.ts';
import { egressOf, isEgressSetByOperator } from './operator-egress.ts';
import { budgetKey, type Launch } from './runner.ts';

/** What one generation is started with: a grant is made from nothing less than a verified manifest. */
export function createLaunch(
  bundle: LoadedBundle,
  generation: number,
  config: Readonly<Record<string, unknown>>,
  ceilings: Resources,
  operatorEgress: readonly string[],
): Launch {
  const { manifest, artifact, entry } = bundle;
  const asked = { ...defaultResources, ...manifest.resources };
  return {
    plugin: { id: manifest.id, name: manifest.name, version: manifest.version },
    engine: manifest.engine,
    wire: manifest.wire,
    hostRisk: highestRisk(manifest.capabilities) === 'host',
    generation,
    grant: {
      pluginId: manifest.id,
      capabilities: new Set(manifest.capabilities),
      egress: egressOf(manifest, operatorEgress),
      egressSetBy: isEgressSetByOperator(manifest) ? 'operator' : 'manifest',
      readBuckets: manifest.kv?.read_buckets ?? [],
    },
    services: Object.fromEntries((manifest.services ?? []).map(({ name, methods }) => [name, methods.map((method) => method.name)])),
    config,
    resources: {
      memory_mib: Math.min(asked.memory_mib, ceilings.memory_mib),
      cpu_percent: Math.min(asked.cpu_percent, ceilings.cpu_percent),
      pids: Math.min(asked.pids, ceilings.pids),
      tmp_mib: Math.min(asked.tmp_mib, ceilings.tmp_mib),
    },
    artifact,
    artifactSha256: entry.sha256,
    entryPath: entry.path,
    files: bundle.files,
    budgets: Object.fromEntries(
      (manifest.services ?? []).flatMap(({ name, methods }) =>
        methods.flatMap((method) => (method.budget ? [[budgetKey(name, method.name), method.budget]] : [])),
      ),
    ),
  };
}
