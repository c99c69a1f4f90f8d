import { isAbsolute, join } from 'node:path';
import { asHostError, HostError } from '../../protocol/errors.ts';
import { type ManifestFault, parseManifest } from '../../protocol/manifest.ts';
import type { AuditEntry } from '../audit.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database.ts';
import type { Exemption } from '../host/egress-rules.ts';
import type { GuardedClient } from '../host/guarded-client.ts';
import { createKeyedQueue } from '../keyed-queue.ts';
import type { Actor, SandboxView } from '../plugin-view.ts';
import type { TrustPolicy } from '../trust-policy.ts';
import { type CurrentIndex, createCurrentIndex } from './current-index.ts';
import type { Examined } from './examine-index.ts';
import { createIndexStore } from './index-store.ts';
import { type CheckRow, fail } from './install-checks.ts';
import { type Fetched, judgeBundle } from './judge-bundle.ts';
import { type Circumstances, judgeListing } from './judge-listing.ts';
import { createMarketDownload, type MarketDownload } from './market-download.ts';
import { type FetchView, listReleases, type MarketView, takePage, viewCandidate, viewIndex } from './market-view.ts';
import type { Release } from './plugin-index.ts';
import { createQuarantine } from './quarantine.ts';

export type MarketDeps = {
  place: string | null; // an absolute path or an https URL
  exemptions: readonly Exemption[];
  maxAgeDays: number;
  dataDir: string;
  client: GuardedClient;
  database: Pick<Database, 'read' | 'write' | 'append'>;
  policy(): TrustPolicy;
  examineIndex(bytes: Uint8Array, keys: readonly string[]): Promise<Examined>;
  checkArchive(manifest: Uint8Array, artifact: Uint8Array): Promise<ManifestFault | null>;
  sandbox(): SandboxView | null;
  clock: Clock;
};
/** `after`: the last candidate of the page before, as id@version. */
export type MarketFilter = { id?: string | undefined; all: boolean; after?: string | undefined; limit?: number | undefined };
export type Asked = { actor: Actor; requestId: string };

/** Candidates from an index. It reads, judges and fetches into quarantine, only when asked; nothing of it installs or runs anything. */
export type Market = {
  view(filter: MarketFilter): MarketView;
  refresh(asked: Asked): Promise<MarketView>;
  fetch(wanted: { id: string; version: string }, asked: Asked): Promise<FetchView>;
};

/** Candidates of an answer at most: each has its six checks and what it may do. */
export const pageMost = 1000;

export async function createMarket(deps: MarketDeps): Promise<Market> {
  const { place, clock, database, policy } = deps;
  const current = await createCurrentIndex({ ...deps, store: createIndexStore(database, place ?? '') });
  const quarantine = await createQuarantine(join(deps.dataDir, 'quarantine'));
  const download = createMarketDownload(deps);
  const queue = createKeyedQueue(); // one at a time: each may hold a whole artifact in memory

  const circumstances = (standing: Circumstances['standing']): Circumstances => ({
    standing,
    policy: policy(),
    sandbox: deps.sandbox(),
    nowMs: clock.wallMs(),
  });
  const record = (method: string, { actor, requestId }: Asked, summary: object, code: string | null = null): Promise<void> => {
    const entry: AuditEntry = {
      kind: 'api.change',
      actor: actor.id,
      method,
      verdict: 'allow',
      code,
      requestId,
      summary: JSON.stringify(summary),
    };
    return database.append(entry);
  };

  function view({ id, all, after, limit }: MarketFilter): MarketView {
    const held = place === null ? null : current.held();
    const standing = held && current.standing(held);
    const now = standing && circumstances(standing);
    const page = takePage(listReleases(held?.index.plugins ?? [], id, all), after, limit);
    return {
      configured: place !== null,
      place: place !== null && isAbsolute(place) ? 'a file' : place,
      index: held && standing && viewIndex(held, standing, clock.wallMs()),
      problem: current.problem(),
      candidates: now ? page.releases.map(({ plugin, release }) => viewCandidate(plugin, release, now)) : [],
      next: page.next,
    };
  }

  async function refresh(asked: Asked): Promise<MarketView> {
    if (place === null) throw notConfigured();
    await record('market.refresh', asked, {});
    try {
      const body = await download.index(place).catch((error: unknown) => {
        current.failed(error);
        throw error;
      });
      await current.take(body);
    } catch (error) {
      await record('market.refresh', asked, { taken: false }, ruleOf(error));
      throw error;
    }
    return view({ all: false, limit: pageMost });
  }

  async function fetch(wanted: { id: string; version: string }, asked: Asked): Promise<FetchView> {
    const { plugin, release, standing } = find(current, wanted);
    const listed = judgeListing(plugin, release, circumstances(standing));
    const bad = listed.some(({ check, verdict }) => verdict === 'fail' || (check === 'index-signature' && verdict !== 'pass'));
    if (bad) return { ok: false, ...wanted, folder: null, bundle_sha256: null, artifact_sha256: null, checks: listed };
    await quarantine.checkRoom();
    await record('market.fetch', asked, wanted);
    const { files, fetched, tooLarge } = await fetchFiles(download, release, deps.checkArchive).catch(async (error: unknown) => {
      await record('market.fetch', asked, { ...wanted, kept: false }, ruleOf(error));
      throw error;
    });
    // The policy and the sandbox of this moment, not of before the download.
    const judged = judgeBundle(plugin, release, fetched, circumstances(current.standing(standing.held)));
    const checks = tooLarge ? judged.map((row) => (row.check === 'artifact-digest' ? tooLarge : row)) : judged;
    const rule = checks.find(({ verdict }) => verdict !== 'pass')?.rule ?? null;
    const ok = checks.every(({ verdict }) => verdict === 'pass');
    const { manifestSha256: bundle, artifactSha256: artifact } = fetched;
    const folder = ok ? await quarantine.keep(`${wanted.id}@${wanted.version}`, files) : null;
    await record('market.fetch', asked, { ...wanted, kept: ok, bundle_sha256: bundle }, rule);
    return { ok, ...wanted, folder, bundle_sha256: bundle, artifact_sha256: artifact, checks };
  }

  return {
    view,
    refresh: (asked) => queue.run('market', () => refresh(asked)),
    fetch: (wanted, asked) => queue.run('market', () => fetch(wanted, asked)),
  };
}

const ruleOf = (error: unknown): string => {
  const { code, details } = asHostError(error);
  return typeof details.rule === 'string' ? details.rule : code;
};

function find(current: CurrentIndex, { id, version }: { id: string; version: string }) {
  const held = current.held();
  if (held === null)
    throw new HostError('not-found', 'there is no index yet', { rule: 'no-index', hint: 'lattice market refresh reads it' });
  const plugin = held.index.plugins.find((each) => each.id === id);
  const release = plugin?.releases.find((each) => each.version === version);
  if (plugin && release) return { plugin, release, standing: { ...current.standing(held), held } };
  throw new HostError('not-found', `the index lists no ${id}@${version}`, {
    rule: 'not-listed',
    hint: 'lattice market show <id> lists the releases',
  });
}

type Files = { files: { manifest: Buffer; artifact: Buffer }; fetched: Fetched; tooLarge: CheckRow | null };

async function fetchFiles(download: MarketDownload, release: Release, checkArchive: MarketDeps['checkArchive']): Promise<Files> {
  const manifest = await download.manifest(release);
  let tooLarge: CheckRow | null = null;
  const artifact = await download.artifact(release).catch((error: unknown) => {
    if (!(error instanceof HostError) || error.code !== 'payload-too-large') throw error;
    tooLarge = fail('artifact-digest', 'size-mismatch', `${error.message}, more than the index says or an artifact may have`);
    return Buffer.alloc(0);
  });
  const [manifestSha256, artifactSha256] = await Promise.all([digest(manifest), digest(artifact)]);
  const parsed = parseManifest(manifest);
  // Only an archive whose digest the index names is opened at all.
  const isArchive = parsed.ok && parsed.manifest.entrypoints !== null && artifactSha256 === release.artifact_sha256;
  const archiveFault = isArchive ? await checkArchive(manifest, artifact) : null;
  const fetched = { manifest, manifestSha256, artifactSha256, artifactBytes: artifact.length, archiveFault };
  return { files: { manifest, artifact }, fetched, tooLarge };
}

/** On a thread of the pool: an artifact may have 64 MiB. */
const digest = async (bytes: Buffer): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes))).toString('hex');

const notConfigured = (): HostError =>
  new HostError('unavailable', 'no index is configured', {
    rule: 'no-index',
    hint: 'name one in LATTICE_MARKET_INDEX and start the service again',
  });
