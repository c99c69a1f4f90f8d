import { readdirSync } from 'node:fs';
import t from 'tap';
import { openBundleStore } from '../support/open-bundle-store.ts';
import { raceSwaps } from '../support/swap-race.ts';

// `npm run torture` does it 100 000 times.
t.test('given a bundle that is swapped 1000 times while it is scanned, when it is loaded, then no byte is another’s', async (t) => {
  const place = await openBundleStore(t);

  const { scans, verified, foreign, exitCode, known } = await raceSwaps(place, { swaps: 1000, seed: 1 });

  t.equal(exitCode, 0);
  t.equal(foreign, 0);
  t.ok(scans > 5 && verified > 0, `${scans} scans met ${verified} whole bundles`);
  t.ok(
    readdirSync(place.stagingDir).every((name) => known.includes(name)),
    'nothing else is in staging',
  );
});
