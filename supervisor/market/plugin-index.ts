import { capabilityNames } from '../../protocol/capabilities.ts';

export const indexSchema = 'lattice.plugin.index.v1';
export const indexLimits = { indexBytes: 1024 * 1024, depth: 16, signatures: 64, faultsListed: 100 } as const; // the shape has a depth of 6

export const indexStatuses = ['draft', 'official', 'example'] as const;
export const channels = ['stable', 'alpha'] as const;
export type Channel = (typeof channels)[number];

/** Names that the public server grants and this one does not: an index may list them, a bundle that asks for one is refused. */
const foreignCapabilities = [
  'http:operator-target',
  'netguard:admin',
  'netguard:read',
  'netpolicy:admin',
  'netpolicy:read',
  'rpc:call',
  'rpc:expose',
  'secret:read',
  'secret:write',
  'subscription:serve',
] as const;
export const listedCapabilities: ReadonlySet<string> = new Set([...capabilityNames, ...foreignCapabilities]);

/** One version of a plugin as an index offers it. The last four fields are ours: an index may say more than the public form asks for. */
export type Release = {
  version: string;
  channel: Channel;
  manifest_url: string;
  artifact_url: string;
  artifact_sha256: string;
  signature_ed25519: string;
  capabilities: readonly string[]; // its own, or else those of the plugin
  manifest_sha256: string | null;
  artifact_bytes: number | null;
  revoked: string | null; // the reason
};

export type ListedPlugin = {
  id: string;
  name: string;
  publisher: string;
  type: 'system' | 'worker' | 'wasm';
  summary: string;
  channels: Readonly<Partial<Record<Channel, string>>>;
  releases: readonly Release[];
};

export type IndexSignature = { publisher: string; signature: Uint8Array };

/** An index whose shape was checked. Nothing of it is trusted: its signatures have not been looked at. */
export type PluginIndex = {
  generatedAt: string;
  version: number | null;
  expiresAt: string | null;
  status: (typeof indexStatuses)[number];
  plugins: readonly ListedPlugin[];
  signatures: readonly IndexSignature[];
};

export type IndexFault = { rule: string; pointer: string; detail: string };
