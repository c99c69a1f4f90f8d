import { readFileSync } from 'node:fs';
import t from 'tap';
import { createHome, startService } from '../../support/start-service.ts';

const home = createHome(t);
const nest = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
};
const answers = `export default { services: { tool: {
  echo: (payload) => payload,
  deny() { throw Object.assign(new Error('no'), { code: 'forbidden', rule: 'scope-missing' }); },
  async shout(payload, { host }) {
    const fields = {};
    for (let n = 0; n < 100_000; n++) fields[n.toString(36)] = [];
    for (;;) await Promise.all([1, 2, 3].map(() => host.log.write({ message: 'x', fields }).catch(() => null)));
  },
  newlines() { const some = Buffer.alloc(65536, 10); setInterval(() => { for (let n = 0; n < 4; n++) process.stderr.write(some); }, 1000); return 1; },
} } };`;
const services = { tool: ['echo', 'deny', 'shout', 'newlines'] };
for (const id of ['test.deep', 'test.config', 'test.deny', 'test.shout', 'test.lines1', 'test.lines2', 'test.lines3', 'test.lines4'])
  home.place({ id, source: answers, services, capabilities: ['log:write'] });
const service = await startService(home);
const activate = async (id: string) => {
  await service.setStatus(id, 'installed');
  const { status } = await service.setStatus(id, 'active');
  if (status !== 200) throw new Error(`${id} did not arm`);
};
const latency = async (times: number): Promise<number> => {
  let worst = 0;
  for (let n = 0; n < times; n++) {
    const from = performance.now();
    await service.api('GET', '/healthz');
    worst = Math.max(worst, performance.now() - from);
  }
  return Math.round(worst);
};

t.test('given a payload 63 levels deep, when a method is called with it, then the plugin lives', async (t) => {
  await activate('test.deep');
  const answer = await service.call('test.deep', 'tool', 'echo', nest(63));
  t.comment(JSON.stringify(answer).slice(0, 300));
  t.not(answer.status, 502);
  t.same((await service.why('test.deep')).exits, []);
});

t.test('given a configuration 62 levels deep, when it is set, then the plugin starts with it', async (t) => {
  await activate('test.config');
  const answer = await service.api('PUT', '/api/plugins/test.config/config', { config: { deep: nest(61) } });
  t.comment(JSON.stringify(answer).slice(0, 400));
  t.equal(answer.status, 200);
  await service.setStatus('test.config', 'disabled');
});

t.test('given a plugin that answers with a word of authorisation, when it is called, then no row says that the API denied', async (t) => {
  await activate('test.deny');
  const answer = await service.call('test.deny', 'tool', 'deny');
  t.comment(JSON.stringify(answer));
  await service.call('test.deny', 'tool', 'echo');
  const rows = (await service.api('GET', '/api/audit?kind=api.denied')).body;
  t.comment(JSON.stringify(rows));
  t.same((rows as { rows?: unknown[] }).rows ?? rows, []);
});

t.test('given a plugin that prints empty lines, when two do, then the service answers in time', async (t) => {
  const calm = await latency(50);
  for (const id of ['test.lines1', 'test.lines2']) {
    await activate(id);
    await service.call(id, 'tool', 'newlines');
  }
  const cpu = () => {
    const [, , , , , , , , , , , , , user = '0', system = '0'] = readFileSync(`/proc/${service.pid}/stat`, 'latin1').split(' ');
    return (Number(user) + Number(system)) * 10;
  };
  const before = cpu();
  const from = performance.now();
  let worst = 0;
  while (performance.now() - from < 3000) worst = Math.max(worst, await latency(5));
  t.comment(`calm ${calm} ms, worst ${worst} ms, cpu ${(((cpu() - before) / (performance.now() - from)) * 100).toFixed(0)} %`);
  t.ok(worst < 100, `worst ${worst} ms`);
  for (const id of ['test.lines1', 'test.lines2']) await service.setStatus(id, 'disabled');
});

t.test('given a plugin that writes logs with 100 000 bad fields, when it goes on, then the service answers in time', async (t) => {
  await activate('test.shout');
  void service.call('test.shout', 'tool', 'shout').catch(() => null);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const from = performance.now();
  let worst = 0;
  while (performance.now() - from < 3000) worst = Math.max(worst, await latency(1));
  t.comment(`worst ${worst} ms`);
  t.ok(worst < 200, `worst ${worst} ms`);
  await service.setStatus('test.shout', 'disabled');
});

t.test('end', async () => {
  service.signal('SIGTERM');
  await service.exited;
});
