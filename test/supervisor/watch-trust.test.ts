import t from 'tap';
import { parseTrustPolicy, trustSchemaV2 } from '../../supervisor/trust-policy.ts';
import { watchTrust } from '../../supervisor/watch-trust.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { makeKey } from '../support/signed-bundle.ts';

const policyUntil = (...times: (number | null)[]) =>
  parseTrustPolicy(
    Buffer.from(
      JSON.stringify({
        schema: trustSchemaV2,
        publishers: {
          acme: {
            keys: times.map((at) => ({ key: makeKey().publicBase64, ...(at === null ? {} : { not_after: new Date(at).toISOString() }) })),
          },
        },
      }),
    ),
  );

t.test('given keys that expire, when their times pass, then what runs is judged each time and not before', async (t) => {
  const clock = createFakeClock();
  const start = clock.wallMs();
  const policy = policyUntil(start + 90_000, start + 10 * 60_000, null);
  let judged = 0;
  const stop = watchTrust({ clock, policy: () => policy, judge: () => void judged++ });

  await clock.advance(90_000);
  t.equal(judged, 0, 'the key is good until its last moment');
  await clock.advance(2);
  t.equal(judged, 1);
  await clock.advance(5 * 60_000);
  t.equal(judged, 1);
  await clock.advance(5 * 60_000);
  t.equal(judged, 2);

  stop();
  await clock.advance(60 * 60_000);
  t.equal(judged, 2);
});

t.test('given a policy that is replaced by one with a nearer end, when that passes, then it is noticed within a minute', async (t) => {
  const clock = createFakeClock();
  let policy = policyUntil(null);
  let judged = 0;
  t.teardown(watchTrust({ clock, policy: () => policy, judge: () => void judged++ }));
  policy = policyUntil(clock.wallMs() + 5_000);

  await clock.advance(60_001);

  t.equal(judged, 1);
});
