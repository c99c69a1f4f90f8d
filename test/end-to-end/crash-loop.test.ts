import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { findDescendants } from '../support/process-tree.ts';
import { readChild } from '../support/sign-bundle.ts';
import { createHome, startService, type TestService } from '../support/start-service.ts';

const home = createHome(t);
const plugin = { source: readChild('tool.js'), capabilities: ['kv:write'], services: { tool: ['echo', 'put', 'hang', 'spin'] } };
for (const id of ['test.loop', 'test.storm']) home.place({ id, ...plugin });
let service = await startService(home, { env: { LATTICE_WARM_CHILDREN: '0' } }); // at the end nothing may run
for (const id of ['test.loop', 'test.storm']) await service.setStatus(id, 'installed');

/** Kills what runs at this moment, if anything does. */
async function killNow({ runtime }: TestService, id: string): Promise<void> {
  const { pid } = await runtime(id);
  if (typeof pid !== 'number') return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended meanwhile
  }
}

t.test(
  'given a storm of orders, calls and kills, when it is over, then the plugin obeys the next order and nothing is left of it',
  async (t) => {
    const id = 'test.storm';
    const orders = [
      () => service.setStatus(id, 'active'),
      () => service.setStatus(id, 'disabled'),
      () => killNow(service, id),
      () => service.call(id, 'tool', 'put', { key: 'k', value: 'v' }),
      () => service.call(id, 'tool', 'echo', 'x'),
      () => service.setStatus(id, 'active'),
      () => service.api('PUT', `/api/plugins/${id}/config`, { start_ms: 5 }),
      () => killNow(service, id),
      () => service.api('POST', `/api/plugins/${id}/reset`),
    ];
    let seed = 20261122;
    function next(below: number): number {
      seed = (seed * 48271) % 2147483647; // the same storm every time
      return seed % below;
    }

    for (let wave = 0; wave < 6; wave++) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => orders[next(orders.length)]?.()));
      for (const answer of answers)
        if (answer) t.ok(answer.status < 504 && answer.status !== 500, `${answer.status} ${answer.body?.code ?? ''}`);
    }

    t.match(await service.setStatus(id, 'active'), { status: 200, body: { runtime: { state: 'armed' } } });
    t.equal((await service.call(id, 'tool', 'echo', 'calm')).body as unknown, 'calm');
    t.match(await service.setStatus(id, 'disabled'), { status: 200, body: { runtime: { state: 'stopped', pid: null } } });
    t.same(findDescendants(service.pid), []);
  },
);

t.test('given a plugin that crashed five times, when the service is started again, then it stays given up until it is reset', async (t) => {
  const id = 'test.loop';
  await service.setStatus(id, 'active');
  for (let crash = 1; crash <= 5; crash++) {
    const mark = service.count();
    await killNow(service, id);
    await service.entered(id, crash < 5 ? 'backoff' : 'failed', mark);
    if (crash < 5) t.match(await service.setStatus(id, 'active'), { status: 200 });
  }
  const given = { status: 'active', runtime: { state: 'failed', pid: null, restarts: 5, next_retry_at: null, message: String } };
  t.match(await service.show(id), given);
  t.match(await service.call(id, 'tool', 'echo'), { status: 503, body: { code: 'unavailable' } });
  const failed = async () =>
    JSON.stringify((await service.api('GET', `/api/audit?plugin=${id}&kind=plugin.runtime`)).body).includes('failed');
  await eventually(failed); // what was recorded before this row is on the disk with it
  service.signal('SIGKILL');
  await service.exited;

  service = await startService(home);

  t.match(await service.show(id), given);
  t.equal((await service.why(id)).exits.length, 5);
  t.match((await service.api('GET', '/readyz')).body, { plugins: { active: 1, armed: 0, failed: 1 } });
  t.match(await service.api('POST', `/api/plugins/${id}/reset`), { status: 200 });
  await service.entered(id, 'ready');
  t.match(await service.show(id), { status: 'active', runtime: { state: 'armed', restarts: 0 } });
});
