import { capabilityNames } from '../../protocol/capabilities.ts';
import { defaultResources } from '../../protocol/manifest.ts';
import type { Launch } from '../../supervisor/runner.ts';

/** A launch for tests that need one but not a bundle. */
export const createTestLaunch = (generation: number, more: Partial<Launch> = {}): Launch => ({
  plugin: { id: 'example.test', name: 'Test', version: '1.0.0' },
  engine: 'node',
  wire: 'json-rpc',
  hostRisk: false,
  generation,
  grant: { pluginId: 'example.test', capabilities: new Set(capabilityNames), egress: [], readBuckets: [] },
  services: {},
  config: {},
  resources: defaultResources,
  artifact: Buffer.alloc(0),
  artifactSha256: '',
  entryPath: 'artifact',
  files: [],
  budgets: {},
  ...more,
});
