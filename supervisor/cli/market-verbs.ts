import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import type { CandidateView, FetchView, MarketView } from '../market/market-view.ts';
import { describeChecks, showChecks } from './checks.ts';
import type { Cli } from './cli.ts';
import { visible } from './visible.ts';

const minuteMs = 60_000;

function describeAge(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / minuteMs));
  if (minutes < 120) return `${minutes} minutes`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / 1440)} days`;
}

/** What the list stands on: the index, its age and signature, and why a newer one was not taken. */
function describeIndex(cli: Cli, { configured, place, index, problem }: MarketView): string {
  if (!configured) return 'No index is configured: name one in LATTICE_MARKET_INDEX.\n';
  const lines = index
    ? [
        `The index of ${index.generated_at} (${describeAge(index.age_ms)} old) from ${visible(place ?? '')}, ${describeSignature(index)}.`,
        ...(index.expired ? [cli.paint('red', `It has expired at ${index.expires_at}: nothing is fetched by it.`)] : []),
      ]
    : [`There is no index yet from ${visible(place ?? '')}: lattice market refresh reads it.`];
  if (problem)
    lines.push(cli.paint('red', `A newer one was not taken at ${problem.at}: ${visible(problem.rule)}: ${visible(problem.detail)}`));
  return `${lines.join('\n')}\n`;
}

const describeSignature = ({ signed, signers }: NonNullable<MarketView['index']>): string => {
  if (signed === null) return 'not verified, because the trust policy pins no index keys';
  return signed ? `signed by ${signers.length} pinned key(s)` : 'no longer signed by enough of the pinned keys';
};

/** One letter a check, in their order: what is wrong stands out, and `market show` tells why. */
const summarise = (candidate: CandidateView): string =>
  candidate.checks.map(({ verdict }) => ({ pass: '+', fail: '!', unknown: '?' })[verdict]).join('');

/** Everything that the index offers, a page at a time. */
async function readAllPages(cli: Cli, filter: Record<string, string>): Promise<MarketView> {
  const service = await cli.connect();
  const read = (after: string | null) =>
    service.request<MarketView>('GET', '/api/marketplace', { query: { ...filter, limit: 1000, after: after ?? undefined } });
  const first = await read(null);
  const candidates = [...first.candidates];
  for (let { next } = first; next !== null; ) {
    const page = await read(next);
    candidates.push(...page.candidates);
    next = page.next;
  }
  return { ...first, candidates, next: null };
}

export async function listCandidates(cli: Cli, all: boolean): Promise<void> {
  const found = await readAllPages(cli, { all: all ? '1' : '0' });
  const columns = [
    { title: 'ID', keep: true },
    { title: 'VERSION', keep: true },
    { title: 'PUBLISHER' },
    { title: 'RISK' },
    { title: 'CHECKS', keep: true },
    { title: 'SUMMARY' },
  ];
  const rows = found.candidates.map((row) => [row.id, row.version, row.publisher, row.risk, summarise(row), row.summary]);
  const legend =
    rows.length > 0 ? '+ passes, ! fails, ? not yet known; in order: index, publisher, manifest, artifact, capabilities, sandbox\n' : '';
  await cli.show(found, () => `${describeIndex(cli, found)}${cli.table(columns, rows, 'It offers nothing.')}${legend}`);
}

export async function showCandidates(cli: Cli, id: string): Promise<void> {
  const found = await readAllPages(cli, { id, all: '1' });
  if (found.candidates.length === 0)
    throw new HostError('not-found', `the index lists no ${id}`, {
      rule: 'not-listed',
      hint: 'lattice market list, lattice market refresh',
    });
  await cli.show(found, () => `${describeIndex(cli, found)}${found.candidates.map((row) => describeCandidate(cli, row)).join('')}`);
}

function describeCandidate(cli: Cli, row: CandidateView): string {
  const selected = row.selected ? `, what the channel ${row.channel} offers` : `, channel ${row.channel}`;
  return `${[
    `\n${visible(row.name)} (${row.id}) ${visible(row.version)} by ${visible(row.publisher)}, a ${row.type} plugin${selected}`,
    ...(row.summary === '' ? [] : [`  ${visible(row.summary)}`]),
    ...row.capabilities.map(
      ({ name, risk, sentence }) => `    - ${sentence ?? 'not known to this service'}  [${visible(name)}, ${risk ?? 'refused'}]`,
    ),
  ].join('\n')}\n${describeChecks(cli, row.checks)}`;
}

export async function refreshIndex(cli: Cli): Promise<void> {
  const found = await (await cli.connect()).request<MarketView>('POST', '/api/marketplace/refresh', { body: {} });
  await cli.show(found, () => describeIndex(cli, found));
}

export async function fetchCandidate(cli: Cli, name: string): Promise<void> {
  const at = name.lastIndexOf('@');
  if (at < 1) throw new HostError('invalid-params', 'name a release', { hint: 'like acme.tool@1.0.0; lattice market list shows them' });
  const body = { id: name.slice(0, at), version: name.slice(at + 1) };
  const { ok: _ok, checks, ...fetched } = await (await cli.connect()).request<FetchView>('POST', '/api/marketplace/fetch', { body });
  const hint = fetched.artifact_sha256 === null ? 'nothing was fetched' : 'what was fetched was thrown away';
  const waiting = checks.find(({ verdict }) => verdict === 'unknown');
  const judged =
    fetched.folder === null && waiting ? checks.map((row) => (row === waiting ? { ...row, verdict: 'fail' as const } : row)) : checks;
  const anyFailed = checks.some(({ verdict }) => verdict === 'fail');
  await showChecks(cli, `${name}`, fetched, anyFailed ? checks : judged, hint);
  if (!cli.json && fetched.folder !== null) await cli.note(describeNextStep(cli, body.id, fetched.folder));
}

/** The quarantine is where the service keeps its data, which is here unless the service is elsewhere. */
function describeNextStep(cli: Cli, id: string, folder: string): string {
  const { LATTICE_URL: elsewhere, LATTICE_PLUGIN_DIR: plugins } = cli.io.environment;
  const from = elsewhere ? `quarantine/${folder} in the service's data directory` : join(cli.dataDir, 'quarantine', folder);
  const to = plugins || '<the plugin directory>';
  return `It is in quarantine; nothing is installed. To go on, on the host of the service:\n  mv '${from}' '${to}/${id}'\n  lattice plugins rescan\n  lattice plugins install ${id}`;
}
