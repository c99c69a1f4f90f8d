import t from 'tap';
import { childShare, costs, createWorkMeter, openShare, shareFor } from '../../protocol/work.ts';

t.test('given a share, when a turn’s part is spent, then the turn is over until the next begins', async (t) => {
  const meter = createWorkMeter({ monotonicMs: () => 0 }, { perTurn: 100, perSecond: 1e6, burst: 1e6 });
  meter.spend(99);
  t.equal(meter.isTurnOver(), false);
  meter.spend(1);
  t.equal(meter.isTurnOver(), true);
  t.equal(meter.waitMs(), 0, 'there is something left over time');
  meter.beginTurn();
  t.equal(meter.isTurnOver(), false);
});

t.test(
  'given a share that is spent, when time goes by, then what flows in may be spent again, and never more than the burst',
  async (t) => {
    let now = 0;
    const meter = createWorkMeter({ monotonicMs: () => now }, { perTurn: 1e9, perSecond: 1_000_000, burst: 500_000 });
    meter.spend(600_000);
    t.equal(meter.waitMs(), 100);
    now = 101;
    t.equal(meter.waitMs(), 0);
    now = 60_000;
    meter.spend(1_000);
    t.equal(meter.waitMs(), 0);
    meter.spend(500_000);
    t.equal(meter.waitMs() > 0, true, 'an hour of rest is worth one burst');
  },
);

t.test('given an end that is trusted, when it works for ever, then it never waits', async (t) => {
  const meter = createWorkMeter({ monotonicMs: () => 0 }, openShare);
  meter.spend(1e15);
  t.equal(meter.waitMs(), 0);
});

t.test('given rates, when the share is made for them, then what they allow fits into it twice', async (t) => {
  t.same(shareFor({ read: { perSecond: 2000 }, effect: { perSecond: 200 } }), childShare);
  t.equal(shareFor({ read: { perSecond: 100_000 } }).perSecond, 2 * 100_000 * costs.request);
});
