import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { readChild } from '../support/sign-bundle.ts';
import { createHome, startService } from '../support/start-service.ts';

const home = createHome(t);
const ids = ['test.starting', 'test.ready', 'test.draining', 'test.backoff'];
const services = { tool: ['echo', 'hang', 'spin', 'deafen'] };
for (const id of ids) home.place({ id, source: readChild('tool.js'), services });
const service = await startService(home);
const { api, setStatus, call, runtime } = service;
for (const id of ids) await setStatus(id, 'installed');

const configure = (id: string, config: Record<string, number>) => api('PUT', `/api/plugins/${id}/config`, config);
const logged = (id: string, text: string) => eventually(async () => (await service.logText(id)).includes(text));
const kill = async (id: string) => process.kill(Number((await runtime(id)).pid), 'SIGKILL');

t.test('given a plugin that is starting, when its process is killed, then the activation says so and a later one works', async (t) => {
  await configure('test.starting', { start_ms: 60_000 });
  const activation = setStatus('test.starting', 'active');
  await logged('test.starting', 'starting');

  await kill('test.starting');

  t.match(await activation, { status: 503, body: { code: 'unavailable', rule: 'signal' } });
  t.match((await service.why('test.starting')).exits, [{ cause: 'signal', signal: 'SIGKILL', stderr_tail: ['starting'] }]);
  t.match(await service.show('test.starting'), { status: 'disabled', runtime: { state: 'stopped' } });
  await configure('test.starting', {});
  t.match((await setStatus('test.starting', 'active')).body, { status: 'active', runtime: { state: 'armed' } });
});

t.test(
  'given a ready plugin with calls under way, when its process is killed, then each call fails as crashed and it comes back',
  async (t) => {
    await setStatus('test.ready', 'active');
    const { generation } = await runtime('test.ready');
    const pending = [call('test.ready', 'tool', 'hang'), call('test.ready', 'tool', 'spin')];
    await logged('test.ready', 'spinning');
    const mark = service.count();

    await kill('test.ready');

    for (const answer of await Promise.all(pending)) t.match(answer, { status: 502, body: { code: 'plugin-crashed' } });
    await service.entered('test.ready', 'backoff', mark);
    await service.entered('test.ready', 'ready', mark);
    t.match(await runtime('test.ready'), { state: 'armed', generation: Number(generation) + 1, restarts: 1 });
    t.same((await call('test.ready', 'tool', 'echo', ['back'])).body, ['back']);
  },
);

t.test('given a plugin that is shutting down, when its process is killed, then it is stopped and stays so', async (t) => {
  await configure('test.draining', { shutdown_ms: 60_000 });
  await setStatus('test.draining', 'active');
  const pending = call('test.draining', 'tool', 'hang');
  await logged('test.draining', 'hanging');
  const stopping = setStatus('test.draining', 'disabled');
  await service.entered('test.draining', 'draining');
  t.match(await call('test.draining', 'tool', 'echo'), { status: 503, body: { code: 'unavailable' } });

  await kill('test.draining');

  t.match(await stopping, { status: 200, body: { status: 'disabled', runtime: { state: 'stopped', restarts: 0 } } });
  t.match(await pending, { status: 502, body: { code: 'plugin-crashed' } });
  t.match((await service.why('test.draining')).exits[0], { cause: 'stopped' });
});

t.test('given a plugin that waits for its restart, when it is disabled or activated, then that is done at once', async (t) => {
  await setStatus('test.backoff', 'active');
  const first = service.count();
  await kill('test.backoff');
  await service.entered('test.backoff', 'backoff', first);

  t.match(await setStatus('test.backoff', 'disabled'), { status: 200, body: { runtime: { state: 'stopped', pid: null } } });

  await setStatus('test.backoff', 'active');
  const second = service.count();
  await kill('test.backoff');
  await service.entered('test.backoff', 'backoff', second);
  t.match(await runtime('test.backoff'), { state: 'restarting', pid: null, next_retry_at: String });
  t.match(await setStatus('test.backoff', 'active'), { status: 200, body: { runtime: { state: 'armed', restarts: 2 } } });
});

t.test('given a plugin that is deaf to SIGTERM and busy, when it is disabled, then it is gone', async (t) => {
  await setStatus('test.backoff', 'active');
  t.same((await call('test.backoff', 'tool', 'deafen')).body, 'deaf');
  const pending = call('test.backoff', 'tool', 'spin');
  await logged('test.backoff', 'spinning');

  t.match(await setStatus('test.backoff', 'disabled'), { status: 200, body: { runtime: { state: 'stopped', pid: null } } });
  t.match(await pending, { status: 502, body: { code: 'plugin-crashed' } });
});
