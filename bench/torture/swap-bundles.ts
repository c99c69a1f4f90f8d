import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundlePlace } from '../../test/support/open-bundle-store.ts';
import { raceSwaps } from '../../test/support/swap-race.ts';

// A bundle is swapped 100 000 times while it is scanned and loaded; no byte may be another's, and no scan may hang.
const swaps = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
const folder = mkdtempSync(join(tmpdir(), 'lattice-swaps-'));
const place = await openBundlePlace(folder);
const { scans, verified, foreign, exitCode, known } = await raceSwaps(place, { swaps, seed });
await place.bundles.collect(() => false);
const left = readdirSync(place.stagingDir);
await place.bundles.close();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`${swaps} swaps (seed ${seed}): ${scans} scans, ${verified} verified and loaded, ${foreign} with foreign bytes\n`);
assert.equal(exitCode, 0);
assert.equal(foreign, 0);
assert.deepEqual(left, []);
assert.equal(known.length, 3);
