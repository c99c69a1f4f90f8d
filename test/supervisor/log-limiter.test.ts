import t from 'tap';
import { limitErrors } from '../../supervisor/log-limiter.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';

function openLog() {
  const clock = createFakeClock();
  const lines = createQuietLog();
  return { clock, log: limitErrors(lines, clock), lines: lines.events };
}

t.test('given an error thousands of times, when the minute is over, then twenty are whole and one line counts the others', async (t) => {
  const { clock, log, lines } = openLog();
  for (let n = 1; n <= 5000; n++) log.error('fault', { error: `stack ${n}` });
  t.equal(lines.length, 20);
  t.same(lines[0], { level: 'error', event: 'fault', fields: { error: 'stack 1' } });

  await clock.advance(60_000);

  t.same(lines.slice(20), [{ level: 'error', event: 'log.left-out', fields: { of: 'fault', left_out: 4980, window_ms: 60_000 } }]);
  log.error('fault', { error: 'later' });
  t.equal(lines.at(-1)?.fields.error, 'later');
});

t.test(
  'given an error of one plugin that repeats, when another plugin has one, or anything else is told, then that is whole',
  async (t) => {
    const { log, lines } = openLog();
    for (let n = 0; n < 100; n++) log.error('plugin.fault', { plugin: 'test.a' });
    log.error('plugin.fault', { plugin: 'test.b' });
    log.error('fault');
    for (let n = 0; n < 100; n++) log.info('plugin.state', { plugin: 'test.a' });

    t.equal(lines.length, 20 + 2 + 100);
  },
);

t.test('given lines that were left out, when the service ends, then their number is told', async (t) => {
  const { log, lines } = openLog();
  for (let n = 0; n < 30; n++) log.error('plugin.fault', { plugin: 'test.a' });
  log.close();

  t.match(lines.at(-1), { event: 'log.left-out', fields: { of: 'plugin.fault', plugin: 'test.a', left_out: 10 } });
});
