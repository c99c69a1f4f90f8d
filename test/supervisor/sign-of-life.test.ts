import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import { createPing } from '../../supervisor/sign-of-life.ts';

function openPing() {
  const state = { now: 0, withheld: 0, answers: true, asked: [] as number[], whileAsked: 0 };
  const ping = createPing(
    {
      async request(_method, _params, { timeoutMs }) {
        state.asked.push(timeoutMs);
        state.withheld += state.whileAsked;
        if (state.answers) return {};
        state.now += timeoutMs;
        throw new HostError('deadline-exceeded', 'no answer');
      },
      withheldMs: () => state.withheld,
    },
    { monotonicMs: () => state.now },
  );
  return { state, ping };
}

t.test('given a child that does not answer and is read, when it is pinged, then that fails', async (t) => {
  const { state, ping } = openPing();
  state.answers = false;
  await t.rejects(ping(), { code: 'deadline-exceeded' });
  t.same(state.asked, [3_000]);
});

t.test(
  'given a child that we do not read, when its answer is late, then it counts as alive and gets more time, but not for ever',
  async (t) => {
    const { state, ping } = openPing();
    state.answers = false;
    state.whileAsked = 2_000;
    t.same(await ping(), {});
    t.same(await ping(), {});
    t.same(state.asked, [3_000, 30_000]);
    while (state.now < 300_000) await ping().catch(() => {});
    await t.rejects(ping(), { code: 'deadline-exceeded' });
  },
);

t.test('given a late child, when it answers, then its time begins anew, and when it is read again, it has the usual time', async (t) => {
  const { state, ping } = openPing();
  state.whileAsked = 2_000;
  state.now = 299_000;
  await ping();
  state.answers = false;
  t.same(await ping(), {});
  state.whileAsked = 0;
  await ping().catch(() => {});
  await t.rejects(ping(), { code: 'deadline-exceeded' });
  t.equal(state.asked.at(-1), 3_000);
});

t.test('given an end that came while it was asked, when the request fails for it, then it is not a sign of life', async (t) => {
  const ping = createPing(
    { request: () => Promise.reject(new HostError('plugin-crashed', 'gone')), withheldMs: () => performance.now() },
    { monotonicMs: () => 0 },
  );
  await t.rejects(ping(), { code: 'plugin-crashed' });
});
