import { capabilities, isCapability, type Risk } from '../../protocol/capabilities.ts';
import type { CurrentIndex, HeldIndex, IndexProblem } from './current-index.ts';
import type { CheckRow } from './install-checks.ts';
import { type Circumstances, judgeListing, riskOf } from './judge-listing.ts';
import type { Channel, ListedPlugin, Release } from './plugin-index.ts';

export type CandidateView = {
  id: string;
  version: string;
  channel: Channel;
  selected: boolean; // the version that its channel offers
  name: string;
  publisher: string;
  type: string;
  summary: string;
  risk: Risk;
  capabilities: { name: string; risk: Risk | null; sentence: string | null }[]; // null: not a capability of this service
  artifact_sha256: string;
  revoked: string | null;
  checks: CheckRow[];
};

export type IndexView = {
  generated_at: string;
  version: number | null;
  status: string;
  fetched_at: string;
  age_ms: number; // since it was generated
  expires_at: string;
  expired: boolean;
  signed: boolean | null; // null: no index keys are pinned
  signers: string[];
  plugins: number;
};

export type MarketView = {
  configured: boolean;
  place: string | null; // the URL; of a file only that it is one
  index: IndexView | null; // the last good one
  problem: IndexProblem | null; // why the newest one was not taken
  candidates: CandidateView[];
};

export type FetchView = {
  ok: boolean;
  id: string;
  version: string;
  folder: string | null; // its name below quarantine/ in the data directory
  bundle_sha256: string | null;
  artifact_sha256: string | null;
  checks: CheckRow[];
};

export function viewIndex({ index, fetchedAt }: HeldIndex, standing: ReturnType<CurrentIndex['standing']>, nowMs: number): IndexView {
  return {
    generated_at: index.generatedAt,
    version: index.version,
    status: index.status,
    fetched_at: fetchedAt,
    age_ms: nowMs - Date.parse(index.generatedAt),
    expires_at: standing.expiresAt,
    expired: standing.expired,
    signed: standing.signed,
    signers: standing.signers,
    plugins: index.plugins.length,
  };
}

const mostText = 500; // an index is somebody else's; what people read of it is short

export const viewCandidate = (plugin: ListedPlugin, release: Release, circumstances: Circumstances): CandidateView => ({
  id: plugin.id,
  version: release.version,
  channel: release.channel,
  selected: plugin.channels[release.channel] === release.version,
  name: plugin.name.slice(0, mostText),
  publisher: plugin.publisher,
  type: plugin.type,
  summary: plugin.summary.slice(0, mostText),
  risk: riskOf(release.capabilities),
  capabilities: release.capabilities.map((name) =>
    isCapability(name) ? { name, ...capabilities[name] } : { name, risk: null, sentence: null },
  ),
  artifact_sha256: release.artifact_sha256,
  revoked: release.revoked?.slice(0, mostText) ?? null,
  checks: judgeListing(plugin, release, circumstances),
});
