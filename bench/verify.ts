import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { promisify } from 'node:util';
import Table from 'cli-table3';
import { manifestLimits } from '../protocol/manifest.ts';
import { removeTree } from '../supervisor/staging-folder.ts';
import { openBundlePlace } from '../test/support/open-bundle-store.ts';
import { signManifest, writeBundle } from '../test/support/signed-bundle.ts';
import { createHome, startService } from '../test/support/start-service.ts';
import { createOwner } from './owner.ts';
import { readCpuMs } from './proc.ts';
import { tell } from './progress.ts';
import { ratios, type Spread, showMore, showSpread, spread } from './spread.ts';
import type { Report } from './suites.ts';
import { compareLatencies, type Latencies } from './verify-api.ts';

const rounds = 7;
const starts = 3;
const manyBundles = 200;
const runFile = promisify(execFile);
const publisher = { publisher: 'acme' }; // the one whom the place trusts

type Timed = { tookMs: number; stallMs: number };

/** How long a job takes, and the longest that the event loop was kept from anything else meanwhile. */
async function time(job: () => Promise<unknown>): Promise<Timed> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const startMs = performance.now();
  await job();
  const tookMs = performance.now() - startMs;
  delay.disable();
  return { tookMs, stallMs: delay.max / 1e6 };
}

const emptyFolder = (folder: string) => {
  for (const name of readdirSync(folder)) removeTree(join(folder, name));
};

/** Each way in turns: openssl alone, a bundle of 64 MiB that is staged already, one that is new, and its bytes read for a start. */
async function measureLarge(): Promise<Record<string, Timed[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-bench-'));
  const { pluginDir, stagingDir, bundles, key } = await openBundlePlace(folder);
  try {
    const artifact = randomBytes(manifestLimits.artifactBytes);
    const home = writeBundle(pluginDir, 'large', signManifest(artifact, key.privateKey, publisher), artifact);
    const [bundle] = (await bundles.scan()).verified.values();
    if (!bundle) throw new Error('the large bundle was refused');
    const ways: Record<string, () => Promise<unknown>> = {
      'openssl dgst -sha256': () => runFile('/usr/bin/openssl', ['dgst', '-sha256', join(home, 'artifact')]),
      'verify, staged before': () => bundles.scan(),
      'read for a start': () => bundles.load(bundle.bundleSha256),
      'verify and stage': () => bundles.scan(),
    };
    const timed: Record<string, Timed[]> = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
    for (let round = 0; round < rounds; round++)
      for (const [name, job] of Object.entries(ways)) {
        if (name === 'verify and stage') emptyFolder(stagingDir);
        timed[name]?.push(await time(job));
      }
    return timed;
  } finally {
    await bundles.close();
    removeTree(folder);
  }
}

/** The scan of a service's start, alone: the first ever, which stages everything, and those after it. */
async function measureMany(): Promise<Record<string, Timed[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-bench-'));
  const { pluginDir, stagingDir, bundles, key } = await openBundlePlace(folder);
  const timed: Record<'first' | 'again', Timed[]> = { first: [], again: [] };
  try {
    for (let n = 0; n < manyBundles; n++) {
      const artifact = Buffer.from(`export default {}; // ${n} ${'x'.repeat(8192)}`);
      writeBundle(pluginDir, `b${n}`, signManifest(artifact, key.privateKey, { ...publisher, id: `test.many-${n}` }), artifact);
    }
    for (let round = 0; round <= rounds; round++) {
      emptyFolder(stagingDir);
      const [first, again] = [await time(scanAll), await time(scanAll)];
      if (round === 0) continue; // workers are started and code is compiled
      timed.first.push(first);
      timed.again.push(again);
    }
  } finally {
    await bundles.close();
    removeTree(folder);
  }
  return timed;

  async function scanAll(): Promise<void> {
    const { verified } = await bundles.scan();
    if (verified.size !== manyBundles) throw new Error(`${verified.size} of ${manyBundles} bundles were accepted`);
  }
}

/** A whole service, from its spawn until it says that it is ready: with no bundle, with all of them new, and with all of them known.
 * The first round only warms up: what is read from disk for the first time would be counted for `none` alone. */
async function measureServiceStart(): Promise<Record<string, Start[]>> {
  const took: Record<'none' | 'new' | 'known', Start[]> = { none: [], new: [], known: [] };
  for (let round = 0; round <= starts; round++) {
    const { owner, end } = createOwner();
    const home = createHome(owner);
    const run = async (into: Start[]) => {
      const startMs = performance.now();
      const service = await startService(home);
      const tookMs = performance.now() - startMs;
      if (round > 0) into.push({ tookMs, cpuMs: readCpuMs(service.pid) });
      service.signal('SIGTERM');
      await service.exited;
    };
    try {
      await run(took.none);
      for (let n = 0; n < manyBundles; n++) home.place({ id: `test.many-${n}`, source: `export default {}; // ${n}` });
      await run(took.new);
      await run(took.known);
    } finally {
      await end();
    }
  }
  return took;
}

type Start = { tookMs: number; cpuMs: number };
type Row = { what: string; ms: Spread; isMore?: boolean; stall_ms?: Spread; against_openssl?: Spread };

const describe = (what: string, timed: readonly Timed[], base?: readonly number[]): Row => ({
  what,
  ms: spread(timed.map(({ tookMs }) => tookMs)),
  stall_ms: spread(timed.map(({ stallMs }) => stallMs)),
  ...(base
    ? {
        against_openssl: ratios(
          base,
          timed.map(({ tookMs }) => tookMs),
        ),
      }
    : {}), // twice as fast is 2
});

export async function measure(): Promise<Report> {
  tell('a bundle of 64 MiB');
  const large = await measureLarge();
  const base = (large['openssl dgst -sha256'] ?? []).map(({ tookMs }) => tookMs);
  tell(`${manyBundles} bundles`);
  const many = await measureMany();
  tell('starts of a service');
  const service = await measureServiceStart();
  const of = (name: string, figure: keyof Start) => spread((service[name] ?? []).map((start) => start[figure]));
  const over = (name: string, figure: keyof Start) =>
    spread((service[name] ?? []).map((start, round) => start[figure] - (service.none?.[round]?.[figure] ?? Number.NaN)));
  const rows: Row[] = [
    ...Object.entries(large).map(([name, timed]) => describe(`64 MiB: ${name}`, timed, base)),
    ...Object.entries(many).map(([name, timed]) => describe(`${manyBundles} bundles: ${name} scan`, timed)),
    { what: 'service start, no bundle', ms: of('none', 'tookMs') },
    ...(['new', 'known'] as const).flatMap((name) => [
      { what: `service start, ${manyBundles} ${name} bundles`, ms: of(name, 'tookMs') },
      { what: '  more than with none', ms: over(name, 'tookMs'), isMore: true },
      { what: '  more processor time', ms: over(name, 'cpuMs'), isMore: true },
    ]),
  ];
  tell('the API meanwhile');
  const api = await compareLatencies();
  return { table: `${draw(rows)}\n${drawApi(api)}`, figures: { rounds, rows, api } };
}

/** The other spreads are among the figures: with them the table would be wider than a terminal. */
function draw(rows: readonly Row[]): string {
  const head = ['what', 'ms', 'low to high', 'x openssl', 'stall ms'];
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const { what, ms, isMore = false, stall_ms, against_openssl } of rows)
    table.push([
      what,
      ...(isMore ? showMore : showSpread)(ms),
      against_openssl?.median.toFixed(2) ?? '',
      stall_ms?.median.toFixed(1) ?? '',
    ]);
  return table.toString();
}

function drawApi(all: readonly Latencies[]): string {
  const head = ['API meanwhile', 'asked', 'p50 ms idle', 'busy', 'p99 idle', 'busy', 'most idle', 'busy'];
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const { path, idle, busy } of all)
    table.push([
      ...[path, busy.requests, idle.p50_ms.toFixed(2), busy.p50_ms.toFixed(2)],
      ...[idle.p99_ms.toFixed(1), busy.p99_ms.toFixed(1), idle.most_ms.toFixed(1), busy.most_ms.toFixed(1)],
    ]);
  return table.toString();
}
