import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import { runWithDeadline } from '../../supervisor/deadline.ts';
import { createFakeClock } from '../support/fake-clock.ts';

t.test('given work that ends in time, when it is run, then its value comes back and its signal is spent', async (t) => {
  const clock = createFakeClock();
  const signals: AbortSignal[] = [];

  const value = await runWithDeadline({ clock, timeoutMs: 100 }, async (signal) => {
    signals.push(signal);
    return 7;
  });

  t.equal(value, 7);
  t.equal(signals[0]?.aborted, true);
  t.equal(clock.pending(), 0);
});

t.test('given work that never looks at its signal, when the deadline passes, then the call is over all the same', async (t) => {
  const clock = createFakeClock();
  const running = runWithDeadline({ clock, timeoutMs: 100 }, () => new Promise(() => {}));

  await Promise.all([t.rejects(running, { code: 'deadline-exceeded', details: { timeout_ms: 100 } }), clock.advance(100)]);
});

t.test('given an outer signal, when it is aborted, then its HostError is passed on, and any other reason is cancelled', async (t) => {
  const clock = createFakeClock();
  const reasons: [unknown, string][] = [
    [new HostError('deadline-exceeded', 'theirs'), 'deadline-exceeded'],
    [new Error('x'), 'cancelled'],
  ];
  for (const [reason, code] of reasons) {
    const outer = new AbortController();
    const running = runWithDeadline({ clock, timeoutMs: 100, outer: outer.signal }, () => new Promise(() => {}));
    outer.abort(reason);
    await t.rejects(running, { code });
  }
});

t.test('given an outer signal that is aborted already, when work is run, then it does not start', async (t) => {
  let started = false;

  const running = runWithDeadline({ clock: createFakeClock(), timeoutMs: 100, outer: AbortSignal.abort() }, async () => {
    started = true;
  });

  await t.rejects(running, { code: 'cancelled' });
  t.equal(started, false);
});
