import { isAbsolute } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { manifestLimits } from '../../protocol/manifest.ts';
import type { Exemption } from '../host/egress-rules.ts';
import type { FetchPolicy, GuardedClient } from '../host/guarded-client.ts';
import { BundleFault, readCapped } from '../read-bundle.ts';
import { indexLimits, type Release } from './plugin-index.ts';

const smallMs = 15_000;
const artifactMs = 80_000; // together less than a client of the API waits for an answer

/** Reads what the market needs: an index from a file or over https, and what it lists over https, through the guarded client. */
export function createMarketDownload({ client, exemptions }: { client: GuardedClient; exemptions: readonly Exemption[] }) {
  // An index may name any host, as a browser would go there; which addresses that may lead to is what is guarded.
  const policy: FetchPolicy = { owner: 'market', isListed: () => true, exemptions };

  async function fetch(url: string, maxBytes: number, timeoutMs: number): Promise<Buffer> {
    // What is hashed are the bytes as they are kept, so no coding is asked for.
    const request = { url, method: 'GET', headers: { 'accept-encoding': 'identity' }, redirect: 'follow', timeoutMs, maxBytes } as const;
    const answer = await client.fetch(request, policy).catch((error: unknown) => {
      throw nameSetting(error);
    });
    if (answer.status === 200) return answer.body;
    throw new HostError('unavailable', `${new URL(answer.url).host} answered ${answer.status}`, {
      rule: 'status',
      status: answer.status,
      hint: 'ask who publishes the index',
    });
  }

  return {
    /** Throws HostError; one more byte than an index may have is enough to refuse it. */
    async index(place: string): Promise<Buffer> {
      if (!isAbsolute(place)) return fetch(place, indexLimits.indexBytes, smallMs);
      try {
        return readCapped(place, 'the index', indexLimits.indexBytes);
      } catch (error) {
        if (!(error instanceof BundleFault)) throw error;
        throw new HostError('unavailable', error.message, { rule: error.code, hint: 'check LATTICE_MARKET_INDEX' }, { cause: error });
      }
    },
    manifest: ({ manifest_url: url }: Release): Promise<Buffer> => fetch(url, manifestLimits.manifestBytes, smallMs),
    artifact: ({ artifact_url: url, artifact_bytes: bytes }: Release): Promise<Buffer> =>
      fetch(url, Math.min(bytes ?? manifestLimits.artifactBytes, manifestLimits.artifactBytes), artifactMs),
  };
}

export type MarketDownload = ReturnType<typeof createMarketDownload>;

/** The client speaks of plugins; here the operator reads which setting of the market's own opens an address. */
function nameSetting(error: unknown): unknown {
  if (!(error instanceof HostError) || error.code !== 'egress-blocked') return error;
  const { rule, host, port } = error.details;
  const where = host === undefined ? 'it' : `${String(host)}:${String(port)}`;
  const open = 'an operator can open one network: LATTICE_MARKET_ALLOW=<cidr>[:port]';
  return new HostError(
    'egress-blocked',
    `${where} is not fetched from: ${String(rule)}`,
    { ...error.details, hint: open },
    { cause: error },
  );
}
