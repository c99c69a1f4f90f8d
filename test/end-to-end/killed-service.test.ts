import { createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { eventually } from '../support/eventually.ts';
import { listen } from '../support/local-servers.ts';
import { allGone, findDescendants, isAlive } from '../support/process-tree.ts';
import { readChild } from '../support/sign-bundle.ts';
import { createHome, startService, type TestService } from '../support/start-service.ts';

const ids = ['test.calm', 'test.busy', 'test.deaf', 'test.waiting', 'test.off'];
const services = { tool: ['echo', 'put', 'hang', 'spin', 'deafen', 'fetch'] };

/** Brings the children into all moods: one calm, one that never returns to its event loop, one deaf to SIGTERM, one with a call under way. */
async function upset(service: TestService): Promise<void> {
  await service.call('test.deaf', 'tool', 'deafen');
  await service.call('test.calm', 'tool', 'put', { key: 'kept', value: 'yes' });
  void service.call('test.busy', 'tool', 'spin').catch(() => {}); // ends with the service
  void service.call('test.waiting', 'tool', 'hang').catch(() => {});
  await eventually(async () => (await service.logText('test.busy')).includes('spinning'));
  await eventually(async () => (await service.logText('test.waiting')).includes('hanging'));
}

/** A server that is asked and never answers. */
async function serveSilence(t: Test): Promise<{ port: number; asked: Promise<void> }> {
  const asked = Promise.withResolvers<void>();
  const port = await listen(
    t,
    createServer((socket: Socket) => void socket.once('data', () => asked.resolve())),
  );
  return { port, asked: asked.promise };
}

type Row = { kind: string; code: string; method: string };
const rowsOf = async (query: string) => (await service.api('GET', `/api/audit?${query}`)).body.rows as Row[];

const home = createHome(t);
const silence = await serveSilence(t);
const env = { LATTICE_EGRESS_ALLOW: `test.fetches=127.0.0.1/32:${silence.port}` };
const source = readChild('tool.js');
for (const id of ids) home.place({ id, source, capabilities: ['kv:write'], services });
home.place({ id: 'test.fetches', source, capabilities: ['http:egress'], services, more: { egress: [`127.0.0.1:${silence.port}`] } });
const running = [...ids.filter((id) => id !== 'test.off'), 'test.fetches'];
let service = await startService(home, { env });

t.test(
  'given children in all moods, when the service is killed and started again, then none outlives it and it goes on where it was',
  async (t) => {
    await Promise.all([...ids, 'test.fetches'].map((id) => service.setStatus(id, 'installed')));
    for (const { status } of await Promise.all([...ids, 'test.fetches'].map((id) => service.setStatus(id, 'active')))) t.equal(status, 200);
    await service.setStatus('test.off', 'disabled');
    await upset(service);
    void service.call('test.fetches', 'tool', 'fetch', { url: `http://127.0.0.1:${silence.port}/` }).catch(() => {});
    await silence.asked;
    const children = findDescendants(service.pid);
    t.ok(children.length >= running.length, 'the children were found');
    const token = home.token();
    const before = await Promise.all(running.map(service.runtime));

    service.signal('SIGKILL');
    await service.exited;
    await allGone(children);
    service = await startService(home, { env });

    t.equal(home.token(), token);
    for (const [index, id] of running.entries()) {
      await service.entered(id, 'ready');
      t.ok(Number((await service.runtime(id)).generation) > Number(before[index]?.generation), `${id} has a generation never used before`);
    }
    t.match(await service.show('test.off'), { status: 'disabled', runtime: { state: 'stopped', pid: null } });
    t.equal((await service.call('test.busy', 'tool', 'echo', 1)).body as unknown, 1);
    t.match((await service.api('GET', '/api/kv/plugin:test.calm/kept')).body, { value: 'yes' });
    t.match((await service.api('GET', '/api/audit/verify')).body, { ok: true });
    t.match(await rowsOf('method=http.fetch'), [{ kind: 'host.outcome', code: 'unknown' }, { kind: 'host.decision' }]);
    t.match((await service.api('GET', '/readyz')).body, { status: 'ready', plugins: { active: 5, armed: 5, failed: 0 } });
  },
);

t.test('given children in all moods, when the service is told to stop, then it stops them all and ends by itself', async (t) => {
  await upset(service);
  const children = findDescendants(service.pid);

  service.signal('SIGTERM');

  t.same(await service.exited, { code: 0, signal: null }, 'not by its last resort, which ends with 1');
  t.same(children.filter(isAlive), []);
  service = await startService(home, { env });
  for (const id of running) await service.entered(id, 'ready');
  t.match((await service.api('GET', '/api/audit/verify')).body, { ok: true });
  t.match(await rowsOf('kind=service.stop'), [{ kind: 'service.stop' }]);
});

t.test('given an activation under way, when the service is told to stop, then it stops, and the order stands', async (t) => {
  await service.setStatus('test.calm', 'disabled');
  await service.api('PUT', '/api/plugins/test.calm/config', { start_ms: 60_000 });
  const mark = service.count();
  const activation = service.setStatus('test.calm', 'active').catch(() => null); // answered or cut off
  await service.entered('test.calm', 'starting', mark);

  service.signal('SIGTERM');

  t.same(await service.exited, { code: 0, signal: null });
  await activation;
  service = await startService(home, { env });
  t.match(await service.show('test.calm'), { status: 'active', runtime: { state: 'starting' } });
});
