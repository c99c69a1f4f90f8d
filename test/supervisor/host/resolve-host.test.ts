import t from 'tap';
import { createHostResolver } from '../../../supervisor/host/resolve-host.ts';

const never = new AbortController().signal;

t.test('given a name, when it is resolved, then each address stands once', async (t) => {
  const resolveHost = createHostResolver(async () => ['192.0.2.1', '192.0.2.2', '192.0.2.1']);

  t.same(await resolveHost('a', 'host.test', never), ['192.0.2.1', '192.0.2.2']);
});

t.test('given no address, too many, or an error, when a name is resolved, then it is unavailable', async (t) => {
  const many = Array.from({ length: 300 }, (_, at) => `10.0.${at >> 8}.${at & 255}`);

  await t.rejects(createHostResolver(async () => [])('a', 'host.test', never), { code: 'unavailable', details: { rule: 'dns' } });
  await t.rejects(createHostResolver(async () => many)('a', 'host.test', never), { code: 'unavailable', details: { rule: 'dns' } });
  await t.rejects(createHostResolver(async () => Promise.reject(new Error('ENOTFOUND 10.1.2.3')))('a', 'host.test', never), {
    code: 'unavailable',
    message: 'host.test cannot be resolved',
  });
});

t.test('given a look-up that hangs, when its owner and another ask, then only the owner waits', async (t) => {
  const stuck = Promise.withResolvers<string[]>();
  const asked: string[] = [];
  const resolveHost = createHostResolver(async (host) => {
    asked.push(host);
    return host === 'slow.test' ? stuck.promise : ['192.0.2.1'];
  });

  const first = resolveHost('a', 'slow.test', never);
  const second = resolveHost('a', 'next.test', never);
  await resolveHost('b', 'other.test', never);
  t.same(asked, ['slow.test', 'other.test']);

  stuck.resolve(['192.0.2.9']);
  t.same(await first, ['192.0.2.9']);
  t.same(await second, ['192.0.2.1']);
});

t.test('given a caller who went away in the queue, when the turn comes, then the name is not looked up', async (t) => {
  const stuck = Promise.withResolvers<string[]>();
  const gone = new AbortController();
  const asked: string[] = [];
  const resolveHost = createHostResolver(async (host) => {
    asked.push(host);
    return stuck.promise;
  });
  const first = resolveHost('a', 'slow.test', never);
  const second = resolveHost('a', 'gone.test', gone.signal);

  gone.abort(new Error('left'));
  stuck.resolve(['192.0.2.1']);

  await first;
  await t.rejects(second, { message: 'left' });
  t.same(asked, ['slow.test']);
});
