import t from 'tap';
import { addressKey, createIdentify, createLimiters } from '../../../supervisor/http/caller.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

t.test('given a rate, when the burst is used up, then refused until time has passed', async (t) => {
  const clock = createFakeClock();
  const take = createLimiters({ perSecond: 10, burst: 20 }, clock);
  for (let asked = 0; asked < 20; asked++) take('one');
  t.throws(() => take('one'), { code: 'rate-limited', details: { retry_after_ms: 100 }, refusal: { headers: { 'Retry-After': '1' } } });
  t.doesNotThrow(() => take('other'));
  await clock.advance(100);
  t.doesNotThrow(() => take('one'));
  t.throws(() => take('one'), { code: 'rate-limited' });
});

t.test('given a token, when it asks 1000 times at once, then all pass, and what others do without one is nothing to it', async (t) => {
  const clock = createFakeClock();
  const identify = createIdentify({ clock, authenticate: async (token) => (token === 'good' ? { id: 't-1', scopes: [] } : null) });
  for (let asked = 0; asked < 20; asked++) await identify('Bearer bad', '192.0.2.1', false);
  await t.rejects(identify('Bearer bad', '192.0.2.1', false), { code: 'rate-limited' });
  await t.resolves(identify(undefined, '192.0.2.1', true), 'probes have a budget of their own');
  for (let asked = 0; asked < 1000; asked++) await identify('Bearer good', '192.0.2.1', false);
  await t.rejects(identify('Bearer good', '192.0.2.1', false), { code: 'rate-limited' });
  t.same(await identify(undefined, '192.0.2.2', false), { actor: null, presented: false, address: '192.0.2.2' });
});

t.test('given addresses, when they are keys, then a /64 of IPv6 is one client', async (t) => {
  t.equal(addressKey('192.0.2.1'), '192.0.2.1');
  t.equal(addressKey('::ffff:192.0.2.1'), '192.0.2.1');
  t.equal(addressKey('2001:db8:1:2:3:4:5:6'), addressKey('2001:db8:1:2::1'));
  t.not(addressKey('2001:db8:1:2::1'), addressKey('2001:db8:1:3::1'));
  t.equal(addressKey(undefined), 'unknown');
});
