import { capabilities, isCapability, type Risk } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
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
  next: string | null; // the `after` of the next page
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

const isSelected = (plugin: ListedPlugin, release: Release): boolean => plugin.channels[release.channel] === release.version;
type Listed = { plugin: ListedPlugin; release: Release };

/** The releases of an index in its order: those that a channel offers, or all. */
export const listReleases = (plugins: readonly ListedPlugin[], id: string | undefined, all: boolean): Listed[] =>
  plugins
    .filter((plugin) => id === undefined || plugin.id === id)
    .flatMap((plugin) => plugin.releases.map((release) => ({ plugin, release })))
    .filter(({ plugin, release }) => all || isSelected(plugin, release));

/** A page of them. Another index may have come since the page before. */
export function takePage(
  all: readonly Listed[],
  after: string | undefined,
  limit: number = all.length,
): { releases: readonly Listed[]; next: string | null } {
  const nameOf = ({ plugin, release }: Listed): string => `${plugin.id}@${release.version}`;
  const at = after === undefined ? -1 : all.findIndex((listed) => nameOf(listed) === after);
  if (after !== undefined && at === -1)
    throw new HostError('conflict', 'the index does not list the last candidate of the page before', {
      rule: 'page-gone',
      hint: 'the index was read anew: begin with the first page again',
    });
  const releases = all.slice(at + 1, at + 1 + limit);
  const last = releases.at(-1);
  return { releases, next: last && at + 1 + releases.length < all.length ? nameOf(last) : null };
}

const mostText = 500; // an index is somebody else's; what people read of it is short

export const viewCandidate = (plugin: ListedPlugin, release: Release, circumstances: Circumstances): CandidateView => ({
  id: plugin.id,
  version: release.version,
  channel: release.channel,
  selected: isSelected(plugin, release),
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
