import { hash, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Test } from 'tap';
import { checkArchive } from '../../supervisor/check-archive.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { createGuardedClient } from '../../supervisor/host/guarded-client.ts';
import { examineIndex } from '../../supervisor/market/examine-index.ts';
import type { MarketDeps } from '../../supervisor/market/market.ts';
import { ownPlatform } from '../../supervisor/platform.ts';
import type { SandboxView } from '../../supervisor/plugin-view.ts';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { openLoopback } from './fetch-setup.ts';
import { type Certificate, makeCertificate, serveHttp } from './local-servers.ts';
import { makeIndex, makeListing, makeRelease, signIndex } from './make-index.ts';
import { makeKey, signManifest } from './signed-bundle.ts';
import { testFolder } from './test-folder.ts';

type Fields = Record<string, unknown>;
export const publisherKey = makeKey();
export const indexKey = makeKey();

export const isolated: SandboxView = { level: 'isolated', minimum: 'isolated', layers: [] };
export const marketPolicy = (more: Fields = {}) =>
  parseTrustPolicy(
    Buffer.from(
      JSON.stringify({
        schema: 'lattice.plugin.trust.v2',
        publishers: { 'test.publisher': { keys: [{ key: publisherKey.publicBase64 }] } },
        index: { keys: [indexKey.publicBase64], threshold: 1 },
        ...more,
      }),
    ),
  );

/** What the service does on threads of its pool. */
export const inProcess = {
  examineIndex: async (bytes: Uint8Array, keys: readonly string[]) => examineIndex({ kind: 'examine', bytes, keys }),
  checkArchive: (manifest: Uint8Array, artifact: Uint8Array) =>
    checkArchive({ kind: 'check', manifest, artifact, platform: ownPlatform() }),
};

let certificateOfAll: Certificate | undefined; // making one takes longer than most tests

/** A local server with a bundle and an index that offers it; `answers` replaces what it says at a path. */
export async function startMarketServer(t: Test) {
  const folder = testFolder(t);
  certificateOfAll ??= makeCertificate(folder, 'IP:127.0.0.1');
  const certificate = certificateOfAll;
  const files = new Map<string, Buffer>();
  const answers = new Map<string, (response: ServerResponse) => void>();
  const { port, seen } = await serveHttp(
    t,
    ({ url }, response) => {
      const answer = answers.get(url);
      const file = files.get(url);
      if (answer) answer(response);
      else response.writeHead(file ? 200 : 404).end(file ?? 'nothing here');
    },
    certificate,
  );
  const url = `https://127.0.0.1:${port}`;
  const artifact = Buffer.from('export default 1;');
  const indexFile = join(folder, 'index.json');

  /** Lays a bundle on the server, and tells what the index would say of it. */
  function offer(manifestMore: Fields = {}, releaseMore: Fields = {}, key: KeyObject = publisherKey.privateKey): Fields {
    const manifest = signManifest(artifact, key, manifestMore);
    files.set('/manifest.json', manifest);
    files.set('/artifact', artifact);
    return makeRelease({
      manifest_url: `${url}/manifest.json`,
      artifact_url: `${url}/artifact`,
      artifact_sha256: hash('sha256', artifact, 'hex'),
      signature_ed25519: JSON.parse(manifest.toString()).signature_ed25519,
      ...releaseMore,
    });
  }
  /** Signs an index of these releases and puts it where the market reads it. */
  function publish(releases: Fields[], indexMore: Fields = {}, listingMore: Fields = {}): Buffer {
    const generated = { generated_at: new Date(Date.now() - 3_600_000).toISOString() };
    const index = makeIndex({ ...generated, plugins: [makeListing(listingMore, releases)], ...indexMore });
    const bytes = signIndex(index, indexKey.privateKey);
    writeFileSync(indexFile, bytes);
    files.set('/index.json', bytes);
    return bytes;
  }
  const certificateFile = join(folder, 'authority.crt');
  writeFileSync(certificateFile, certificate.cert);
  const deps = {
    place: indexFile,
    exemptions: openLoopback(port).exemptions,
    maxAgeDays: 90,
    dataDir: join(folder, 'data'),
    client: createGuardedClient({ clock: createRealClock(), ca: [certificate.cert], ownAddresses: () => [] }),
    policy: () => marketPolicy(),
    ...inProcess,
    sandbox: () => isolated,
    clock: createRealClock(),
  } satisfies Omit<MarketDeps, 'database'>;
  return { deps, folder, port, url, seen, files, answers, artifact, indexFile, certificateFile, certificate, offer, publish };
}
export type MarketServer = Awaited<ReturnType<typeof startMarketServer>>;
