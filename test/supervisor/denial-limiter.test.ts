import t from 'tap';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { createDenialLimiter } from '../../supervisor/denial-limiter.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const denial: AuditEntry = {
  kind: 'host.decision',
  plugin: 'example.a',
  method: 'kv.put',
  verdict: 'deny',
  code: 'rate-limited',
  requestId: 'r-1',
};

function createLimiter() {
  const clock = createFakeClock();
  const rows: AuditEntry[] = [];
  const limiter = createDenialLimiter({ clock, append: async (entry) => void rows.push(entry) });
  const deny = (count: number, key = 'a') => {
    for (let index = 0; index < count; index++) limiter(denial, key);
  };
  return { clock, rows, limiter, deny };
}

t.test('given twenty denials of one key, when the minute is over, then each has its row and there is no closing one', async (t) => {
  const { clock, rows, deny } = createLimiter();
  deny(20);

  await clock.advance(60_000);

  t.equal(rows.length, 20);
  t.equal(clock.pending(), 0);
});

t.test('given a thousand denials of one key, when the minute is over, then one row tells how many were left out', async (t) => {
  const { clock, rows, deny } = createLimiter();
  deny(1000);
  t.equal(rows.length, 20);

  await clock.advance(60_000);

  t.same(rows.slice(20), [{ ...denial, kind: 'denials.closed', requestId: null, summary: '{"left_out":980,"window_ms":60000}' }]);
});

t.test('given a minute that is over, when the key is denied again, then it has twenty rows again', async (t) => {
  const { clock, rows, deny } = createLimiter();
  deny(30);
  await clock.advance(60_000);
  deny(30);

  t.equal(rows.filter((row) => row.kind === 'host.decision').length, 40);
});

t.test('given two keys, when one floods, then the other has its own twenty rows', async (t) => {
  const { rows, deny } = createLimiter();
  deny(1000, 'a');
  deny(5, 'b');

  t.equal(rows.length, 25);
});

t.test('given windows that began at different times, when each ends, then it is closed then', async (t) => {
  const { clock, rows, deny } = createLimiter();
  const closings = () => rows.filter((row) => row.kind === 'denials.closed').length;
  deny(30, 'a');
  await clock.advance(20_000);
  deny(30, 'b');
  await clock.advance(40_000);
  t.equal(closings(), 1);

  await clock.advance(20_000);

  t.equal(closings(), 2);
});

t.test('given more keys than are kept, when the rest is denied, then they share one key', async (t) => {
  const { clock, rows, deny, limiter } = createLimiter();
  for (let index = 0; index < 10_000; index++) deny(1, `key ${index}`);

  for (let index = 0; index < 5000; index++) deny(1, `late ${index}`);

  t.equal(rows.length, 10_020);
  limiter.close();
  t.same(rows.slice(10_020), [
    { kind: 'denials.closed', verdict: 'deny', rule: 'many-keys', requestId: null, summary: '{"left_out":4980,"window_ms":60000}' },
  ]);
  t.equal(clock.pending(), 0);
});

t.test('given left out denials, when the limiter is closed before the minute is over, then they are told', async (t) => {
  const { clock, rows, deny, limiter } = createLimiter();
  deny(21);

  limiter.close();

  t.match(rows.at(-1), { kind: 'denials.closed', summary: '{"left_out":1,"window_ms":60000}' });
  t.equal(clock.pending(), 0);
});

t.test('given an audit that cannot be written, when a denial is recorded, then nobody else fails for it', async (t) => {
  const limiter = createDenialLimiter({ clock: createFakeClock(), append: () => Promise.reject(new Error('disk full')) });

  t.doesNotThrow(() => limiter(denial, 'a'));
  await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would end the test
  limiter.close();
});
