import t from 'tap';
import { createRateLimiter } from '../../supervisor/rate-limiter.ts';
import { createFakeClock } from '../support/fake-clock.ts';

t.test('given a full bucket that was idle for long, when it is emptied, then it gives its burst once and then its rate', async (t) => {
  const clock = createFakeClock();
  const limiter = createRateLimiter({ perSecond: 2, burst: 20 }, clock.monotonicMs);
  await clock.advance(60_000);
  const taken = () => Array.from({ length: 100 }, () => limiter.take()).filter(Boolean).length;
  t.equal(taken(), 20);
  await clock.advance(1000);
  t.equal(taken(), 2);
  t.equal(limiter.waitMs(), 500);
});
