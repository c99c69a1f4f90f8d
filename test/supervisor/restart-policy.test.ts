import fc from 'fast-check';
import t from 'tap';
import { backoffDelayMs, causeOfExit, judgeExit, recentCrashes } from '../../supervisor/restart-policy.ts';

for (const [code, signal, cause] of [
  [0, null, 'exit-code'],
  [1, null, 'exit-code'],
  [78, null, 'configuration'],
  [79, null, 'artifact-refused'],
  [80, null, 'load-failed'],
  [null, 'SIGKILL', 'signal'],
] as const) {
  t.test(`given the exit ${code ?? signal}, when its cause is asked, then it is ${cause}`, async (t) =>
    t.equal(causeOfExit(code, signal), cause),
  );
}

t.test('given crash times, when they are judged, then the fifth within ten minutes is one too many', async (t) => {
  const now = 10_000_000;
  const ago = (...minutes: number[]) => minutes.map((each) => now - each * 60_000);
  t.equal(judgeExit(true, 'exit-code', ago(9, 8, 7, 0), now), 'crashed');
  t.equal(judgeExit(true, 'exit-code', ago(9, 8, 7, 1, 0), now), 'exhausted');
  t.equal(judgeExit(true, 'exit-code', ago(10, 8, 7, 1, 0), now), 'crashed', 'ten minutes ago is forgotten');
  t.equal(judgeExit(false, 'exit-code', ago(1, 1, 1, 1, 1), now), 'exited', 'not wanted any more');
  t.equal(judgeExit(true, 'trust-lost', [], now), 'fatal');
  t.same(recentCrashes([now + 5000], now), [], 'a time in the future, after the clock was set back, does not count for ever');
});

t.test(
  'given any number of crashes, when the pause is asked, then it doubles from a second to a minute, give or take a fifth',
  async (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (crashes, random) => {
        const base = Math.min(60_000, 1000 * 2 ** (crashes - 1));
        const pause = backoffDelayMs(crashes, random);
        return pause >= base * 0.8 - 1 && pause <= base * 1.2 + 1;
      }),
    );
    t.same(
      [1, 2, 3, 7, 50].map((crashes) => backoffDelayMs(crashes, 0.5)),
      [1000, 2000, 4000, 60_000, 60_000],
    );
  },
);
