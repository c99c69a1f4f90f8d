import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'undici';
import { manifestLimits } from '../protocol/manifest.ts';
import { createRealClock, delay } from '../supervisor/clock.ts';
import { removeTree } from '../supervisor/staging-folder.ts';
import { createHome, startService } from '../test/support/start-service.ts';
import { quantile } from './neighbour.ts';
import { createOwner } from './owner.ts';

const rounds = 5;
const paceMs = 8; // within the rate of one token, so that no request is refused
const idleMs = 1_000;
const bundles = 200;
const paths = ['/healthz', '/api/plugins'] as const;
const clock = createRealClock();

type Side = { requests: number; p50_ms: number; p99_ms: number; most_ms: number };
export type Latencies = { path: string; idle: Side; busy: Side };
type Taken = Record<string, number[]>;

const summarize = (tookMs: readonly number[]): Side => ({
  requests: tookMs.length,
  p50_ms: quantile(tookMs, 0.5) ?? Number.NaN,
  p99_ms: quantile(tookMs, 0.99) ?? Number.NaN,
  most_ms: Math.max(...tookMs),
});

/** Asks each path in turn at an even pace until something is over. */
async function askUntil(client: Client, token: string, over: () => boolean, into: Taken): Promise<void> {
  while (!over())
    for (const path of Object.keys(into)) {
      const startMs = clock.monotonicMs();
      const { statusCode, body } = await client.request({ path, method: 'GET', headers: { authorization: `Bearer ${token}` } });
      await body.dump({ limit: 16 * 1024 * 1024 });
      if (statusCode !== 200) throw new Error(`${path}: ${statusCode}`);
      into[path]?.push(clock.monotonicMs() - startMs);
      await delay(clock, paceMs);
    }
}

/** What the API's callers feel while 200 bundles and one of 64 MiB are verified and staged, against the same service at rest in the same round. */
export async function compareLatencies(): Promise<Latencies[]> {
  const { owner, end } = createOwner();
  try {
    const home = createHome(owner);
    for (let n = 0; n < bundles; n++) home.place({ id: `test.many-${n}`, source: `export default {}; // ${n}` });
    home.place({ id: 'test.large', source: randomBytes(manifestLimits.artifactBytes) });
    const service = await startService(home);
    const client = new Client(service.url);
    const staging = join(home.dataDir, 'staging');
    const [idle, busy] = [createTaken(), createTaken()];
    for (let round = 0; round <= rounds; round++) {
      const isWarmUp = round === 0;
      const endMs = clock.monotonicMs() + idleMs;
      await askUntil(client, home.token(), () => clock.monotonicMs() > endMs, isWarmUp ? createTaken() : idle);
      for (const name of readdirSync(staging)) removeTree(join(staging, name)); // so that each round copies all of it again
      let over = false;
      const rescan = service.api('POST', '/api/plugins/rescan', {}).finally(() => {
        over = true;
      });
      await askUntil(client, home.token(), () => over, isWarmUp ? createTaken() : busy);
      const { status } = await rescan;
      if (status !== 200) throw new Error(`the rescan was answered with ${status}`);
    }
    await client.close();
    return paths.map((path) => ({ path, idle: summarize(idle[path] ?? []), busy: summarize(busy[path] ?? []) }));
  } finally {
    await end();
  }
}

const createTaken = (): Taken => Object.fromEntries(paths.map((path) => [path, []]));
