import t from 'tap';
import { createKvCache } from '../../supervisor/kv-cache.ts';

const entry = (value: string, revision = 1) => ({ value, revision });

t.test('given a read that began before a write, when it ends after it, then it is not remembered', async (t) => {
  const cache = createKvCache(10_000);
  const stamp = cache.stamp();
  cache.commit('b', 'k', entry('new', 2));

  cache.fill('b', 'k', entry('old'), stamp);

  t.same(cache.get('b', 'k'), entry('new', 2));
});

t.test('given a write whose fate is unknown, when a read that began before it ends, then nothing is remembered', async (t) => {
  const cache = createKvCache(10_000);
  cache.commit('b', 'k', entry('old'));
  const stamp = cache.stamp();
  cache.forget('b', 'k');

  cache.fill('b', 'k', entry('old'), stamp);

  t.equal(cache.get('b', 'k'), undefined);
});

t.test('given a value of 64 KiB, when it is committed, then it is kept like a small one', async (t) => {
  const cache = createKvCache(10_000_000);

  cache.commit('b', 'k', entry('x'.repeat(64 * 1024)));

  t.equal(cache.get('b', 'k')?.value?.length, 64 * 1024);
});

t.test('given more entries than fit, when another comes, then the one that was used longest ago goes', async (t) => {
  const cache = createKvCache(3 * 200);
  for (const key of ['a', 'b', 'c']) cache.commit('b', key, entry('x'.repeat(60)));
  cache.get('b', 'a');

  cache.commit('b', 'd', entry('x'.repeat(60)));

  t.ok(cache.get('b', 'a'));
  t.equal(cache.get('b', 'b'), undefined);
  t.ok(cache.get('b', 'd'));
});

t.test('given an entry that grows over what one may take, when it is written, then it is no longer kept', async (t) => {
  const cache = createKvCache(10_000_000);
  cache.commit('b', 'k', entry('x'));

  cache.commit('b', 'k', entry('x'.repeat(200_000), 2));

  t.equal(cache.get('b', 'k'), undefined);
});
